"""The contract of a host runs as the documentation shows it."""

from __future__ import annotations

from pathlib import Path

from tests.mysite import Mysite

SETTINGS = """
INSTALLED_APPS += ["djust_presence", "rooms"]
ROOT_URLCONF = "rooms.views"
ASGI_APPLICATION = "mysite.asgi.application"
DATABASES["default"]["TEST"] = {"NAME": BASE_DIR / "test.sqlite3"}
"""
PYTEST = """
[pytest]
DJANGO_SETTINGS_MODULE = mysite.settings
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""


def test_the_contract_runs_over_a_host_of_ones_own_as_shown(tmp_path: Path) -> None:
    mysite = Mysite(tmp_path)
    mysite.start_project("rooms")
    mysite.follow("docs/reference/testing.md")
    with (tmp_path / "mysite" / "settings.py").open("a") as settings:
        settings.write(SETTINGS)
    (tmp_path / "pytest.ini").write_text(PYTEST)
    done = mysite.run("-W", "error", "-m", "pytest", "-q", "-x", "rooms/test_host.py")
    assert " passed" in done
    assert "skipped" not in done
