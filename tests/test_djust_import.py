"""djust's views are found if this package is among the installed apps; nothing else is needed."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.servers import ROOT

needs_djust = pytest.mark.skipif(find_spec("djust") is None, reason="djust is not installed")

SETUP = """
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "djust_presence"])
django.setup()
"""
CHECK = """
import sys
from djust_presence import PresenceMixin
"""


def run(*code: str) -> None:
    subprocess.run([sys.executable, "-c", "\n".join(code)], cwd=ROOT, check=True, timeout=60)


@needs_djust
@pytest.mark.parametrize("mixin", ["PresenceMixin", "LiveCursorMixin"])
def test_setting_django_up_makes_a_mixin_ready_that_was_imported_before(mixin: str) -> None:
    run(
        f"from djust_presence import {mixin}",
        SETUP,
        CHECK,
        f"""
assert "djust_presence.djust.host" in sys.modules
assert "_ws_consumer" in vars(PresenceMixin)
assert hasattr({mixin}, "_ws_consumer")
""",
    )


@needs_djust
def test_nothing_of_djust_is_imported_for_it() -> None:
    run(
        SETUP,
        CHECK,
        """
assert "djust_presence.djust.host" in sys.modules
assert not [name for name in sys.modules if name.partition(".")[0] == "djust"]
""",
    )


def test_without_djust_nothing_is_made_ready() -> None:
    run(
        """
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "djust" else find_spec(name, *rest)
""",
        SETUP,
        CHECK,
        """
assert "djust_presence.djust.host" not in sys.modules
assert "_ws_consumer" not in vars(PresenceMixin)
""",
    )
