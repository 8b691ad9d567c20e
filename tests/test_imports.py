"""The guide's imports, in any order, before and after Django is set up."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.servers import ROOT

__all__ = ["MIXINS", "SETUP", "run", "settings"]

OURS = "from djust_presence import CursorTracker, LiveCursorMixin, LiveView, PresenceMixin, event_handler, presence"
MIXINS = "from djust_presence import LiveCursorMixin, PresenceMixin"
SETUP = "import django; django.setup()"


def settings(*apps: str) -> str:
    """Return code that configures Django with *apps* beside ours."""
    installed = ["django.contrib.contenttypes", "django.contrib.auth", *apps, "djust_presence"]
    layers = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    return f"from django.conf import settings; settings.configure(INSTALLED_APPS={installed}, CHANNEL_LAYERS={layers})"


def run(*code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert not done.returncode, done.stderr


@pytest.mark.parametrize("names", [OURS, MIXINS])
def test_the_guides_names_can_be_imported_before_and_after_setup(names: str) -> None:
    reversed_names = "from djust_presence import " + ", ".join(names.split("import ")[1].split(", ")[::-1])
    for line in (names, reversed_names):
        run(settings(), line, SETUP, line)
        run(settings(), SETUP, line)
