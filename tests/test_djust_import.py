"""What it takes for djust's views to be found: an import of the mixin, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.servers import ROOT

SETUP = """
import sys
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"])
import django
django.setup()
"""


def run(code: str) -> None:
    subprocess.run([sys.executable, "-c", SETUP + code], cwd=ROOT, check=True, timeout=60)


@pytest.mark.parametrize("mixin", ["PresenceMixin", "LiveCursorMixin"])
def test_importing_a_mixin_makes_it_ready_without_the_app(mixin: str) -> None:
    run(f"""
from djust_presence import {mixin}
from djust_presence.djust.host import _ConsumerOfView
assert isinstance(vars(__import__("djust_presence").PresenceMixin)["_ws_consumer"], _ConsumerOfView)
""")


def test_nothing_of_djust_is_imported_for_it() -> None:
    run("""
from djust_presence import LiveView, PresenceMixin
assert "djust_presence.djust.host" in sys.modules
assert not [name for name in sys.modules if name.partition(".")[0] == "djust"]
""")


def test_without_djust_nothing_is_made_ready() -> None:
    run("""
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "djust" else find_spec(name, *rest)
from djust_presence import LiveView, PresenceMixin
assert "djust_presence.djust.host" not in sys.modules
assert "_ws_consumer" not in vars(PresenceMixin)
""")
