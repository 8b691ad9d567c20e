"""What holds with the htmx 4 that django-htmx ships holds with the newest one, as engine and as the page's own.

The environment's HTMX_4 is the path of its ``htmx.min.js``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import pytest_asyncio

from tests.browser import test_forms, test_own_htmx, test_patching
from tests.browser.harness import Site

for module in (test_forms, test_own_htmx, test_patching):
    globals().update({name: test for name, test in vars(module).items() if name.startswith("test_")})


@pytest.fixture
def newest() -> Path:
    if path := os.environ.get("HTMX_4"):
        return Path(path)
    message = "HTMX_4 is not the path of an htmx.min.js"
    if os.environ.get("CI"):
        pytest.fail(f"CI must test against the newest htmx 4 too: {message}.")
    pytest.skip(message)


@pytest_asyncio.fixture(loop_scope="session")
async def site(newest: Path, site: Site) -> Site:
    site.static["htmx-4.min.js"] = newest
    return site
