"""The guide's imports beside djust's, in any order, before and after Django is set up."""

from __future__ import annotations

import pytest

from tests.test_imports import MIXINS, SETUP, run, settings

DJUST = "from djust import LiveView as DjustView\nfrom djust.decorators import event_handler as djust_handler"

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


@pytest.mark.parametrize("imports", [[MIXINS, DJUST], [DJUST, MIXINS]], ids=["ours first", "djust first"])
@pytest.mark.parametrize("before", [0, 1, 2], ids=["after setup", "around setup", "before setup"])
def test_views_of_djust_are_connected_whatever_is_imported_first(imports: list[str], before: int) -> None:
    run(settings("djust"), *imports[:before], SETUP, *imports[before:], CONNECTED)
