"""The guide's imports, in any order, before and after Django is set up, with djust beside it."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.servers import ROOT

OURS = "from djust_presence import CursorTracker, LiveCursorMixin, LiveView, PresenceMixin, event_handler, presence"
MIXINS = "from djust_presence import LiveCursorMixin, PresenceMixin"
DJUST = "from djust import LiveView as DjustView\nfrom djust.decorators import event_handler as djust_handler"
SETTINGS = """
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "djust", "djust_presence"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
"""
SETUP = "import django; django.setup()"

# djust's view gets a session from its consumer, as one on a socket does.
CONNECTED = """
import asyncio

class Board(PresenceMixin, DjustView):
    presence_key = "board"

class Whiteboard(DjustView, LiveCursorMixin):
    presence_key = "whiteboard"

async def connect(kind):
    from djust.websocket import LiveViewConsumer
    view = kind()
    assert view._presence.session is None
    view._ws_consumer = LiveViewConsumer()
    assert view._presence.session.owner is view
    assert view._presence.session.connection.owner is view._ws_consumer

for kind in (Board, Whiteboard):
    asyncio.run(connect(kind))
"""


def run(*code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert not done.returncode, done.stderr


@pytest.mark.parametrize("names", [OURS, MIXINS])
def test_the_guides_names_can_be_imported_before_and_after_setup(names: str) -> None:
    reversed_names = "from djust_presence import " + ", ".join(names.split("import ")[1].split(", ")[::-1])
    for line in (names, reversed_names):
        run(SETTINGS, line, SETUP, line)
        run(SETTINGS, SETUP, line)


@pytest.mark.skipif(find_spec("djust") is None, reason="djust is not installed")
@pytest.mark.parametrize("imports", [[MIXINS, DJUST], [DJUST, MIXINS]], ids=["ours first", "djust first"])
@pytest.mark.parametrize("before", [0, 1, 2], ids=["after setup", "around setup", "before setup"])
def test_views_of_djust_are_connected_whatever_is_imported_first(imports: list[str], before: int) -> None:
    run(SETTINGS, *imports[:before], SETUP, *imports[before:], CONNECTED)
