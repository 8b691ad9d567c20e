"""More points of djust's consumer that the host relies on: a djust that changes one fails here."""

from __future__ import annotations

from contextlib import AsyncExitStack
from time import monotonic
from typing import Any

import pytest
from channels.layers import get_channel_layer
from django.http import HttpRequest
from django.urls import path
from djust import LiveView
from djust.decorators import event_handler, is_event_handler
from pytest_django import Settings

from djust_presence import LiveCursorMixin, PresenceMixin
from djust_presence import presence as facade
from djust_presence.djust.host import _consumer
from djust_presence.tracker import get_tracker
from tests.djust.pages import DjustPage, DjustVisitor, djust_site

# Channels looks after database connections at every frame.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

ROOM = """<!doctype html><html><body><div dj-root><p>{{ online_count }} here</p></div></body></html>"""
PARENT = """<!doctype html><html><body><div dj-root>{% load live_tags %}
<p>{{ online_count }} here</p>
{% live_render "tests.djust.test_djust_contract.Child" %}
{% live_render "tests.djust.test_djust_contract.Sticky" sticky=True %}
</div></body></html>"""
CHILD = """<div><i>{{ online_count }} children</i> <button dj-click="poke">poked {{ poked }}</button></div>"""


class Plain(LiveView):
    template_name = "room.html"
    online_count = 0

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        pass


class Room(PresenceMixin, LiveView):
    template_name = "room.html"
    presence_key = "room:{room}"
    presence_unique_per_connection = True

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()


class Child(PresenceMixin, LiveView):
    template_name = "child.html"
    presence_key = "children"
    made: list[Child] = []

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.poked = 0
        self.made.append(self)
        self.track_presence()

    @event_handler()
    def poke(self, **kwargs: Any) -> None:
        self.poked += 1


class Sticky(Child):
    sticky = True
    sticky_id = "child"


class Parent(Room):
    template_name = "parent.html"


class Board(LiveCursorMixin, Room):
    pass


urlpatterns = [
    path("plain/", Plain.as_view()),
    path("room/<str:room>/", Room.as_view()),
    path("parent/<str:room>/", Parent.as_view()),
    path("board/<str:room>/", Board.as_view()),
]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    templates = {"room.html": ROOM, "parent.html": PARENT, "child.html": CHILD}
    for name, value in djust_site(templates).items():
        setattr(settings, name, value)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.DJUST_PRESENCE = {"GRACE": 0.05}


async def answered(page: DjustPage) -> list[dict[str, Any]]:
    """Return the frames that come before the answer to a ping."""
    before = len(page.frames)
    await page.send_json_to({"type": "ping"})
    while (await page.frame())["type"] != "pong":
        pass
    return page.frames[before:-1]


@pytest.mark.parametrize("path", ["/plain/", "/room/a/"])
async def test_views_without_cursors_pass_over_what_is_said_of_pointers(path: str) -> None:
    async with DjustVisitor("ada").opens(path) as page:
        await answered(page)
        for move in ({"cursors": True}, {"x": 1, "y": 2}, {"x": None}):
            await page.send_json_to({"type": "cursor_move", **move})
        assert "error" not in [frame["type"] for frame in await answered(page)]


async def test_djust_takes_an_inherited_cursor_move_for_a_handler() -> None:
    async with DjustVisitor("ada").opens("/board/a/"):
        assert is_event_handler(Board.cursor_move)


async def test_a_message_that_djust_does_not_know_ends_the_socket_and_the_session() -> None:
    async with (
        DjustVisitor("grace").opens("/room/a/") as other,
        DjustVisitor("ada").opens("/room/a/") as page,
    ):
        await other.until("2 here")
        _, session = get_tracker().sessions
        consumer: Any = _consumer(session)
        layer: Any = get_channel_layer()
        await layer.send(consumer.channel_name, {"type": "djust_presence.refresh"})
        with pytest.raises(ValueError, match="No handler for message type"):
            await page.wait(timeout=5)
        assert not session.open
        await other.until("1 here")


async def test_djust_keeps_no_heartbeat_of_its_own_for_our_views(said: list[str]) -> None:
    async with DjustVisitor("ada").opens("/room/a/") as page:
        await page.until("1 here")
        (session,) = get_tracker().sessions
        for name in ("_presence_tracked", "update_presence_heartbeat"):
            assert not hasattr(session.owner, name)
        await page.send_json_to({"type": "presence_heartbeat"})
        assert "error" not in [frame["type"] for frame in await answered(page)]


async def test_a_burst_of_joins_is_few_patches(settings: Settings) -> None:
    settings.DJUST_PRESENCE = {"GRACE": 0.05, "REFRESH_INTERVAL": 0.2}
    async with DjustVisitor("ada").opens("/room/a/") as page, AsyncExitStack() as stack:
        await page.until("1 here")
        await answered(page)

        def refreshes() -> int:  # without the patches that answer the questions of page.until
            return sum(patch.get("source") == "broadcast" for patch in page.of("patch"))

        visitor, before, began = DjustVisitor(), refreshes(), monotonic()
        for _ in range(20):
            other = await stack.enter_async_context(visitor.socket("/room/a/", f"{__name__}.Room"))
            await other.mount()
        await page.until("21 here")
        # One at once, and one each interval; and one is perhaps under way at the end.
        assert 1 < refreshes() - before <= 2 + (monotonic() - began) / 0.2


async def test_views_in_views_have_no_session() -> None:
    Child.made.clear()
    async with DjustVisitor("ada").opens("/parent/a/") as page:
        await page.until("1 here", "0 children", "poked 0")
        (session,) = get_tracker().sessions
        assert isinstance(session.owner, Parent)
        children = list(session.owner._get_all_child_views())  # type: ignore[attr-defined]
        assert len(children) == 2
        for view_id in children:
            await page.call("poke", view_id=view_id)
        assert [child.poked for child in Child.made if child.poked] == [1, 1]
        assert {child._presence.session for child in Child.made} == {None}
        assert await facade.acount("children") == 0
