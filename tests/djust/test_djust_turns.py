"""Turns under djust: refreshes beside djust's own pushes, ticks and mounts, and pages that are slow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.db import connections
from django.http import HttpRequest
from django.urls import path
from django.utils import translation
from djust import LiveView
from djust.config import config
from djust.decorators import event_handler
from pytest_django import Settings

from djust_presence import PresenceMixin
from djust_presence.djust.host import _consumer
from djust_presence.hosts.outgoing import MAX_WAITING_FRAMES, STALLED
from djust_presence.tracker import Event, Session, get_tracker
from tests.djust.pages import DjustPage, DjustVisitor, djust_site
from tests.until import until

# Channels looks after database connections at every frame.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

ROOM = """<!doctype html><html><body><div dj-root>
<p>{{ online_count }} here, seen {{ seen }}, ticked {{ ticked }}</p>
</div></body></html>"""


class Room(PresenceMixin, LiveView):
    template_name = "room.html"
    presence_key = "room:{room}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.seen = self.ticked = 0
        self.track_presence()

    def handle_presence_join(self, presence: dict[str, Any]) -> None:
        self.push_event("join", presence)

    @event_handler()
    def look(self, **kwargs: Any) -> None:
        self.seen += 1


class Restored(Room):
    enable_state_snapshot = True


class Ticking(Room):
    tick_interval = 100

    def handle_tick(self) -> None:
        self.ticked += 1


class Language(Room):
    def _on_presence_change(self, **kwargs: Any) -> None:
        super()._on_presence_change(**kwargs)
        self.push_event(type(self).__name__, {"code": translation.get_language()})


class German(Language):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        translation.activate("de")
        super().mount(request, **kwargs)


class Connected(Room):
    def handle_presence_event(self, event: str, payload: Any) -> None:
        self.push_event("looked after", {"done": not vars(connections["default"])["health_check_done"]})


class Members(Room):
    login_required = True


urlpatterns = [
    path("room/<str:room>/", Room.as_view()),
    path("restored/<str:room>/", Restored.as_view()),
    path("ticking/<str:room>/", Ticking.as_view()),
    path("language/<str:room>/", Language.as_view()),
    path("german/<str:room>/", German.as_view()),
    path("connected/<str:room>/", Connected.as_view()),
    path("members/<str:room>/", Members.as_view()),
]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    for name, value in djust_site({"room.html": ROOM}).items():
        setattr(settings, name, value)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.DJUST_PRESENCE = {"GRACE": 0.05}


def sessions() -> list[Session]:
    return list(get_tracker().sessions)


async def closed(page: DjustPage) -> Any:
    """Return the code that the page is closed with."""
    while (message := await page.receive_output(timeout=10))["type"] != "websocket.close":
        pass
    return message["code"]


async def test_a_restored_page_is_sent_the_whole_of_what_it_has_only_from_http() -> None:
    async with DjustVisitor("ada").opens("/restored/a/") as page:
        assert "html" not in page.of("mount")[0]
        while (frame := await page.frame())["type"] not in ("patch", "html_update"):
            pass
        assert frame["type"] == "html_update"
        assert "1 here" in frame["html"]
        assert frame["version"] == page.of("mount")[0]["version"] + 1
        async with DjustVisitor("grace").opens("/room/a/"):
            while (frame := await page.frame())["type"] not in ("patch", "html_update"):
                pass
            assert frame["type"] == "patch"
            await page.until("2 here")


async def test_a_restored_page_is_made_whole_by_a_push_of_djusts_own() -> None:
    async with DjustVisitor("ada").opens("/restored/a/") as page:
        (session,) = sessions()
        consumer: Any = _consumer(session)
        async with consumer._presence_turn:
            await consumer.server_push({"type": "server_push", "state": {"seen": 7}})
        while (frame := await page.frame())["type"] not in ("patch", "html_update"):
            pass
        assert frame["type"] == "html_update"
        await page.until("1 here, seen 7")


async def test_a_burst_of_broadcasts_closes_no_page() -> None:
    async with DjustVisitor("ada").opens("/room/a/") as page:
        await page.until("1 here")
        (session,) = sessions()
        for number in range(2 * MAX_WAITING_FRAMES):
            session.host.broadcast([session], "many", number)
        assert await page.until_pushed("many", 2 * MAX_WAITING_FRAMES) == [*range(2 * MAX_WAITING_FRAMES)]


async def test_a_page_that_takes_nothing_in_for_long_is_cut_off() -> None:
    async with DjustVisitor("ada").opens("/room/a/") as page:
        await page.until("1 here")
        (session,) = sessions()
        consumer: Any = _consumer(session)
        page.reads.clear()
        while len(consumer._presence_outgoing._waiting) < MAX_WAITING_FRAMES:
            session.host.broadcast([session], "many", None)
            await asyncio.sleep(0)
        assert session.open
        consumer._presence_outgoing._kept_up_at -= STALLED + 1  # as if that had been so for long
        session.host.broadcast([session], "many", None)
        assert not session.open
        page.reads.set()
        assert await closed(page) == 4000


async def test_a_page_that_takes_nothing_in_holds_up_no_other() -> None:
    async with (
        DjustVisitor("ada").opens("/room/a/") as stalled,
        DjustVisitor().opens("/room/a/") as other,
    ):
        await stalled.until("2 here")
        await other.until("2 here")
        stalled.reads.clear()
        async with DjustVisitor("grace").opens("/room/a/"):
            await other.until("3 here")
            async with DjustVisitor().opens("/room/a/"):
                # Another tab of a visitor who is not logged in, and so another user.
                await other.until("4 here")
        stalled.reads.set()
        await stalled.until_pushed("join", 4)
        await stalled.until("2 here")


async def test_other_pushes_never_take_a_refresh_from_a_page() -> None:
    async with DjustVisitor("ada").opens("/room/a/") as page:
        await page.until_pushed("join")
        (session,) = sessions()
        consumer: Any = _consumer(session)
        await consumer._render_lock.acquire()
        async with DjustVisitor("grace").opens("/room/a/"):
            await until(lambda: consumer._presence_due)
            for number in range(100):
                await consumer.server_push({"type": "server_push", "state": {"seen": number}})
            consumer._render_lock.release()
            await page.until("2 here, seen 99")


async def test_frames_of_a_page_are_answered_while_a_refresh_waits() -> None:
    async with DjustVisitor("ada").opens("/room/a/") as page:
        await page.until_pushed("join")
        (session,) = sessions()
        consumer: Any = _consumer(session)
        async with consumer._render_lock, DjustVisitor("grace").opens("/room/a/"):
            await until(lambda: consumer._presence_due)
            await page.send_json_to({"type": "ping"})
            await page.until(lambda: page.of("pong"))
        await page.until_pushed("join", 2)


async def test_a_view_is_refreshed_in_what_surrounds_it_and_not_the_one_before() -> None:
    async with DjustVisitor("ada").opens("/german/a/") as page:
        await page.until_pushed("German")
        (session,) = sessions()
        consumer: Any = _consumer(session)
        async with consumer._presence_turn, DjustVisitor("grace").opens("/room/a/"):
            await until(lambda: consumer._presence_due)
            there = {"view": page.view, "url": "/language/a/", "params": {}}
            with translation.override("en"):
                await consumer.handle_live_redirect_mount({"type": "live_redirect_mount", **there})
            await until(lambda: consumer._presence_due)
        assert await page.until_pushed("Language") == [{"code": "en"}]
        assert {"code": "en"} not in page.pushed("German")


async def test_database_connections_are_looked_after_before_a_refresh() -> None:
    def check() -> None:
        connections["default"].ensure_connection()
        vars(connections["default"])["health_check_done"] = True

    async with DjustVisitor("ada").opens("/connected/a/") as page:
        await page.until_pushed("join")
        await page.send_json_to({"type": "ping"})
        await page.until(lambda: page.of("pong"))
        await sync_to_async(check)()
        get_tracker().broadcast("room:a", Event.of("look", None))
        assert await page.until_pushed("looked after") == [{"done": True}]


async def test_refreshes_and_ticks_go_together() -> None:
    async with DjustVisitor("ada").opens("/ticking/a/") as page:
        for _ in range(3):
            async with DjustVisitor("grace").opens("/ticking/a/") as other:
                await page.until("2 here")
                await other.until("2 here")
                await page.call("look")
            await page.until("1 here")
        while "tick" not in [frame.get("source") for frame in page.frames]:
            await page.frame()
        await page.until("1 here, seen 3")
        rendered = [frame for frame in page.frames if frame["type"] in ("mount", "patch", "html_update")]
        versions = [frame["version"] for frame in rendered]
        assert versions == list(
            range(versions[0], versions[0] + len(versions))
        )  # or the client asks for it all


async def test_a_user_who_loses_access_is_gone_where_djust_is_told_to_check_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        DjustVisitor("grace").opens("/room/a/") as other,
        DjustVisitor("ada").opens("/members/a/") as page,
    ):
        await other.until("2 here")
        _, session = sessions()
        consumer: Any = _consumer(session)

        async def nobody(scope: Any) -> Any:
            return AnonymousUser()

        monkeypatch.setattr("channels.auth.get_user", nobody)
        await session.host.check([one.connection for one in sessions()])
        assert session.open
        monkeypatch.setitem(config._config, "reauth_on_event", True)
        await session.host.check([one.connection for one in sessions()])
        assert not session.open
        assert await closed(page) == 4403
        await other.until("1 here")
        assert consumer._ws_close_sent
