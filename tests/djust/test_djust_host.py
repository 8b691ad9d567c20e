"""djust's consumer with a view that has presence, point by point: a djust that changes one fails here."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import path
from django.utils import translation
from djust import LiveView
from djust.decorators import event_handler
from djust.websocket import LiveViewConsumer, _snapshot_assigns
from pytest_django import Settings

from djust_presence import PresenceMixin
from djust_presence import presence as facade
from djust_presence.djust.consumer import PresenceConsumer
from djust_presence.djust.host import _consumer
from djust_presence.tracker import Event, Session, get_tracker
from tests import until as waiting
from tests.djust.pages import DjustPage, DjustVisitor, djust_site

# Channels looks after database connections at every frame.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

ROOM = """<!doctype html><html><body><div dj-root>
<p>{{ online_count }} here:{% for p in presences %} [{{ p.name }} {{ p.color }} x{{ p.connections }}]{% endfor %} seen {{ seen }}</p>
</div></body></html>"""


class Room(PresenceMixin, LiveView):
    """Calls the methods that the page names, and tells it of every callback."""

    template_name = "room.html"
    presence_key = "room:{room}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.seen = 0
        self.track_presence({"color": "red"})

    def get_context_data(self, **kwargs: Any) -> Any:
        context = super().get_context_data(**kwargs)
        context["presences"] = self.list_presences()
        return context

    def handle_presence_join(self, presence: dict[str, Any]) -> None:
        self.push_event("join", presence)

    def handle_presence_leave(self, presence: dict[str, Any]) -> None:
        self.push_event("leave", presence)

    def handle_presence_update(self, presence: dict[str, Any]) -> None:
        self.push_event("update", presence)

    def handle_presence_event(self, event: str, payload: Any) -> None:
        self.seen += 1

    @event_handler()
    def shout(self, text: str = "", **kwargs: Any) -> None:
        self.broadcast_to_presence("shout", {"text": text})

    @event_handler()
    def paint(self, color: str = "", **kwargs: Any) -> None:
        self.update_presence(color=color)

    @event_handler()
    def leave(self, **kwargs: Any) -> None:
        self.untrack_presence()

    @event_handler()
    def think(self, seconds: float = 0, **kwargs: Any) -> None:
        time.sleep(seconds)

    @event_handler()
    def go(self, to: str = "", **kwargs: Any) -> None:
        self.live_redirect(to)


class RoomTheOtherWayRound(LiveView, PresenceMixin):
    template_name = "room.html"
    presence_key = "room:{room}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence({"color": "red"})

    def get_context_data(self, **kwargs: Any) -> Any:
        context = super().get_context_data(**kwargs)
        context["presences"] = self.list_presences()
        return context


class OddKey(Room):
    """djust could make no group of this key, nor of any before the view is mounted."""

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.letter = "ø"
        super().mount(request, **kwargs)

    def get_presence_key(self) -> str:
        return f"room {self.letter} " + 200 * "!"


class Watching(Room):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.seen = 0
        self.watch_presence()


class Silent(PresenceMixin, LiveView):
    """Has presence, and never uses it; its key could not be filled in."""

    template_name = "room.html"
    presence_key = "room:{nothing}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        pass


class German(Room):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        translation.activate("de")
        super().mount(request, **kwargs)

    def handle_presence_join(self, presence: dict[str, Any]) -> None:
        self.push_event("language", {"code": translation.get_language()})


class EachTab(Room):
    presence_unique_per_connection = True


class Failing(Room):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        super().mount(request, **kwargs)
        self.broadcast_to_presence("never")
        if request.GET.get("fails", "") or "_websocket_session_id" in self.__dict__:
            raise RuntimeError("no such luck")


class Refused(Room):
    def get_object(self) -> object:
        if "_websocket_session_id" in self.__dict__:
            raise PermissionDenied
        return object()

    def has_object_permission(self, request: HttpRequest, obj: object) -> bool:
        return True


class Restored(Room):
    enable_state_snapshot = True
    mounts = 0

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        type(self).mounts += 1
        super().mount(request, **kwargs)


class RestoredTabs(Restored):
    presence_unique_per_connection = True


class Broken(Room):
    def handle_presence_join(self, presence: dict[str, Any]) -> None:
        raise RuntimeError("a callback")


urlpatterns = [
    path("room/<str:room>/", Room.as_view()),
    path("other/<str:room>/", RoomTheOtherWayRound.as_view()),
    path("odd/<str:room>/", OddKey.as_view()),
    path("watch/<str:room>/", Watching.as_view()),
    path("silent/", Silent.as_view()),
    path("german/<str:room>/", German.as_view()),
    path("tabs/<str:room>/", EachTab.as_view()),
    path("failing/<str:room>/", Failing.as_view()),
    path("refused/<str:room>/", Refused.as_view()),
    path("restored/<str:room>/", Restored.as_view()),
    path("restored-tabs/<str:room>/", RestoredTabs.as_view()),
    path("broken/<str:room>/", Broken.as_view()),
]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    for name, value in djust_site({"room.html": ROOM}).items():
        setattr(settings, name, value)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.DJUST_PRESENCE = {"GRACE": 0.05}


def sessions() -> list[Session]:
    return list(get_tracker().sessions)


until = partial(waiting.until, patience=5)


@asynccontextmanager
async def raw(visitor: DjustVisitor, path: str, view: type) -> AsyncIterator[DjustPage]:
    """A socket on which a mount is tried; it may fail."""
    await visitor.get(path)
    async with visitor.socket(path, f"{__name__}.{view.__qualname__}") as page:
        await page.mount()
        yield page


async def test_a_view_is_handed_its_consumer_before_it_is_mounted_and_not_over_http() -> None:
    seen: list[Any] = []

    def mount(self: Room, request: HttpRequest, **kwargs: Any) -> None:
        seen.append(self._presence.session)
        self.track_presence()

    visitor = DjustVisitor()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Room, "mount", mount)
        await visitor.get("/room/a/")
        assert seen == [None]
        async with visitor.opens("/room/a/") as page:
            await page.until("1 here")
    (session,) = [one for one in seen if one]
    assert isinstance(session, Session)


async def test_the_consumer_is_djusts_own_and_holds_the_view_that_is_live() -> None:
    async with DjustVisitor("ada").opens("/room/a/") as page:
        await page.until("1 here", "[ada red x1]")
        (session,) = sessions()
        consumer: Any = _consumer(session)
        assert isinstance(consumer, LiveViewConsumer)
        assert isinstance(consumer, PresenceConsumer)
        assert type(consumer).__name__ == "LiveViewConsumer"
        assert consumer.view_instance is session.owner


async def test_djust_asks_for_no_key_before_the_mount_and_its_group_is_harmless() -> None:
    async with DjustVisitor("ada").opens("/odd/a/") as page:
        await page.until("1 here", "[ada red x1]")
        (session,) = sessions()
        consumer: Any = _consumer(session)
        assert consumer._presence_group == "djust_presence_unused"
        assert session.key == session.owner.get_presence_key() == "room ø " + 200 * "!"
    await until(lambda: not sessions())


async def test_djust_hears_nothing_of_a_key_that_cannot_be_filled_in_where_it_is_not_used() -> None:
    async with DjustVisitor("ada").opens("/silent/"):
        pass


@pytest.mark.parametrize("kind", ["room", "other"])
async def test_mixins_work_in_both_orders(kind: str) -> None:
    async with DjustVisitor("ada").opens(f"/{kind}/a/") as one:
        await one.until("1 here", "[ada red x1]")
        async with DjustVisitor("grace").opens(f"/{kind}/a/") as two:
            await two.until("2 here", "[ada red x1]", "[grace red x1]")
            await one.until("2 here", "[grace red x1]")
        await one.until("1 here")


@pytest.mark.parametrize("kind", ["room", "other", "tabs"])
async def test_djust_saves_of_ours_what_was_tracked_last_and_compares_nothing_else(kind: str) -> None:
    visitor = DjustVisitor("ada" if kind != "tabs" else None)
    async with visitor.opens(f"/{kind}/a/") as page:
        await page.until("1 here")
        (session,) = sessions()
        view = session.owner
        for names in (view._get_private_state(), _snapshot_assigns(view)):
            assert {name for name in names if name.startswith("_presence")} == {
                "_presence_last",
                "_presence_wish",
            }
        context = await sync_to_async(view.get_context_data)()
        assert not [name for name in context if name.startswith("_presence")]
        saved = await visitor.client.asession()
        kept = {name: value for name, value in saved.items() if "__private" in name}
        assert {name for state in kept.values() for name in state if name.startswith("_presence")} == {
            "_presence_last",
            "_presence_wish",
        }


async def test_a_restored_view_tracks_what_it_had_tracked_over_http() -> None:
    Restored.mounts = 0
    async with DjustVisitor("ada").opens("/restored/a/") as page:
        await page.until_pushed("join")
        assert page.pushed("join")[0]["color"] == "red"
        await until(lambda: sessions()[0].owner.online_count == 1)
    assert Restored.mounts == 1


async def test_restored_tabs_have_ids_of_their_own() -> None:
    visitor = DjustVisitor()
    async with visitor.opens("/restored-tabs/a/") as one:
        await one.until_pushed("join", 1)
        async with visitor.opens("/restored-tabs/a/") as two:
            await one.until_pushed("join", 2)
            await two.until_pushed("join", 1)
            assert await facade.acount("room:a") == 2


async def test_a_page_that_fails_to_mount_leaves_nothing_behind(
    said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with DjustVisitor("grace").opens("/room/a/") as other:
        await other.until("1 here")
        async with DjustVisitor("ada").socket("/failing/a/", f"{__name__}.Failing") as page:
            await page.mount()
            while "error" not in [frame["type"] for frame in page.frames]:
                page.frames.append(json.loads(await page.receive_from(timeout=5)))
        async with raw(DjustVisitor("ada"), "/refused/a/", Refused) as page:
            while "error" not in [frame["type"] for frame in page.frames]:
                page.frames.append(json.loads(await page.receive_from(timeout=5)))
        async with DjustVisitor("ada").opens("/room/a/") as page:  # by now the others would have been seen
            await other.until("2 here")
        assert [one["name"] for one in await other.until_pushed("leave")] == ["ada"]
        assert [one["name"] for one in other.pushed("join")] == ["grace", "ada"]
        assert other.pushed("never") == []
    assert [line for line in said if "no such luck" not in line and "mount()" not in line] == []
    said.clear()


async def test_closing_a_page_is_no_wish_to_leave(settings: Settings) -> None:
    settings.DJUST_PRESENCE = {"GRACE": 30}
    ada = DjustVisitor("ada")
    async with DjustVisitor("grace").opens("/room/a/") as other:
        async with ada.opens("/room/a/"):
            await other.until("2 here")
        async with ada.opens("/room/a/") as page:
            await page.until("2 here")
            await page.call("paint", color="blue")
            await other.until("[ada blue x1]")  # it goes on as the connection that was closed
    assert other.pushed("leave") == []


async def test_a_tab_that_says_the_server_goes_away_is_waited_for(settings: Settings) -> None:
    settings.DJUST_PRESENCE = {"GRACE": 0.05, "DRAIN_GRACE": 30}
    async with DjustVisitor("grace").opens("/room/a/") as other:
        async with DjustVisitor("ada").opens("/room/a/") as page:
            await other.until("2 here")
            await page.disconnect(code=1012, timeout=5)
        async with DjustVisitor().opens("/room/a/"):
            await other.until("3 here")
        await other.until_pushed("leave")
        assert [one["name"] for one in other.pushed("leave")] == ["Guest"]


async def test_a_socket_whose_task_is_cancelled_is_over() -> None:
    async with (
        DjustVisitor("grace").opens("/room/a/") as other,
        DjustVisitor("ada").opens("/room/a/") as page,
    ):
        await other.until("2 here")
        page.future.cancel()
        await until(lambda: len(sessions()) == 1)


async def test_untracking_is_at_once_and_the_view_goes_on_watching() -> None:
    async with (
        DjustVisitor("grace").opens("/room/a/") as other,
        DjustVisitor("ada").opens("/room/a/") as page,
    ):
        await other.until("2 here")
        await page.until("2 here")
        await page.call("leave")
        await page.until("1 here")
        await other.until("1 here")
        async with DjustVisitor().opens("/room/a/"):
            await page.until("2 here", "[Guest red x1]")


async def test_a_watching_view_is_counted_by_nobody_and_sees_everybody() -> None:
    async with DjustVisitor("grace").opens("/watch/a/") as watcher:
        assert "0 here" in watcher.html
        async with DjustVisitor("ada").opens("/room/a/") as page:
            await watcher.until("1 here", "[ada red x1]")
            assert "1 here" in await page.until("1 here")
            await page.call("paint", color="green")
            await watcher.until("[ada green x1]")
            assert [one["color"] for one in await watcher.until_pushed("update")] == ["green"]
        await watcher.until("0 here")


async def test_every_frame_of_the_page_is_a_sign_of_life() -> None:
    async with DjustVisitor("ada").opens("/room/a/") as page:
        await page.until("1 here")
        (session,) = sessions()
        for frame in ({"type": "ping"}, {"type": "request_html"}):
            session.connection.heard_at = 0.0
            await page.send_json_to(frame)
            await until(lambda: session.connection.heard_at > 0)
        await page.until(lambda: page.of("pong"))


async def test_a_silent_page_is_closed_but_not_for_timers_that_browsers_slow_down() -> None:
    async with DjustVisitor("ada").opens("/room/a/") as page:
        await page.until("1 here")
        (session,) = sessions()
        session.connection.heard_at = session.clock.now - 80
        session.host.close(session.connection, 4000, "timeout")
        await page.send_json_to({"type": "ping"})
        while (await page.frame())["type"] != "pong":
            pass
        session.connection.heard_at = session.clock.now - 100
        session.host.close(session.connection, 4000, "timeout")
        assert await page.receive_output(timeout=5) == {"type": "websocket.close", "code": 4000}


@pytest.mark.parametrize("to", ["/room/a/", "/room/b/", "/silent/"])
async def test_a_visitor_who_is_redirected_live_leaves_no_ghost(to: str, settings: Settings) -> None:
    settings.DJUST_PRESENCE = {"GRACE": 1}  # mounting may take a while
    async with (
        DjustVisitor("grace").opens("/room/a/") as other,
        DjustVisitor("ada").opens("/room/a/") as page,
    ):
        await other.until("2 here")
        await page.call("go", to=to)
        await page.send_json_to({"type": "live_redirect_mount", "view": page.view, "url": to, "params": {}})
        while len(page.of("mount")) < 2:
            await page.frame()
        if to == "/room/a/":
            async with DjustVisitor().opens("/room/a/"):
                await other.until("3 here")
            await other.until("2 here")
            assert [one["name"] for one in other.pushed("leave")] == ["Guest"]
            await page.until("2 here")
        else:
            await other.until("1 here")
            assert "1 here" in page.html or to == "/silent/"
        assert len(sessions()) == 2


async def test_a_refresh_is_a_push_of_djusts_and_waits_for_an_event_that_is_handled() -> None:
    async with DjustVisitor("ada").opens("/room/a/") as page:
        await page.until("1 here")
        (session,) = sessions()
        consumer: Any = _consumer(session)
        async with consumer._render_lock, DjustVisitor("grace").opens("/room/a/"):
            await until(lambda: session.count() == 2)
            await asyncio.sleep(0.3)  # longer than djust waits for the lock before it puts a push off
            assert "2 here" not in page.html
        await page.until("1 here")
        await page.until_pushed("leave")
        assert [one["name"] for one in page.pushed("join")] == ["ada", "grace"]
        pushed = [one for one in page.of("patch") if "source" in one]
        last = pushed[-1]
        assert last["source"] == "broadcast"  # so that the page keeps it back while it waits for an answer
        assert "broadcast" not in last  # or it would empty the fields of the page


async def test_a_page_that_is_being_handled_holds_up_no_other() -> None:
    async with (
        DjustVisitor("ada").opens("/room/a/") as busy,
        DjustVisitor().opens("/room/a/") as other,
    ):
        await busy.until("2 here")
        await other.until("2 here")
        busy_session, _ = sessions()
        async with _consumer(busy_session)._presence_turn:
            async with DjustVisitor("grace").opens("/room/a/"):
                await other.until("3 here")
                assert "3 here" not in busy.html
            await other.until("2 here")
        await busy.until_pushed("leave")
        assert [one["name"] for one in busy.pushed("join")] == ["ada", "Guest", "grace"]


async def test_news_that_come_while_a_handler_runs_are_shown_after_it() -> None:
    async with DjustVisitor("ada").opens("/room/a/") as page:
        await page.until("1 here")
        (session,) = sessions()
        thinking = asyncio.create_task(page.call("think", seconds=0.5))
        await until(lambda: _consumer(session)._presence_turn.locked())
        get_tracker().broadcast("room:a", Event.of("shout", 1))
        await thinking
        await page.until("seen 1")


async def test_a_refresh_runs_in_what_surrounds_the_view() -> None:
    async with DjustVisitor("ada").opens("/german/a/") as page, DjustVisitor().opens("/room/a/"):
        assert await page.until_pushed("language", 2) == 2 * [{"code": "de"}]


async def test_pushes_of_djusts_own_still_arrive() -> None:
    from djust.push import apush_to_view

    async with DjustVisitor("ada").opens("/room/a/") as page:
        await page.until("1 here")
        await apush_to_view(f"{__name__}.Room", state={"seen": 77})
        await page.until("seen 77")
        assert [one for one in page.of("patch") if "source" in one][-1]["broadcast"] is True


async def test_a_broadcast_reaches_the_group_its_sender_included_and_nobody_else() -> None:
    async with (
        DjustVisitor("ada").opens("/room/a/") as one,
        DjustVisitor("grace").opens("/room/a/") as two,
        DjustVisitor().opens("/room/b/") as elsewhere,
    ):
        await one.until("2 here")
        await two.until("2 here")
        await one.call("shout", text="hi")
        for page in (one, two):
            assert await page.until_pushed("shout") == [{"text": "hi"}]
            marked = await page.until_for_script("broadcast")
            assert marked == [{"event": "shout", "payload": {"text": "hi"}}]
            await page.until("seen 1")
        await elsewhere.call("shout", text="alone")
        assert await elsewhere.until_pushed("shout") == [{"text": "alone"}]


async def test_a_failing_callback_is_logged_and_costs_only_itself(said: list[str]) -> None:
    async with DjustVisitor("ada").opens("/broken/a/") as page:
        await page.until("1 here")
        async with DjustVisitor("grace").opens("/room/a/"):
            await page.until("2 here")
    assert [line for line in said if "Broken.handle_presence_join failed." not in line] == []
    assert len(said) == 2
    said.clear()


async def test_views_mounted_together_on_one_socket_leave_no_ghost() -> None:
    visitor = DjustVisitor("ada")
    await visitor.get("/room/a/")
    async with visitor.socket("/room/a/") as page:
        views = [
            {"view": f"{__name__}.Room", "url": f"/room/{room}/", "params": {}, "target_id": room}
            for room in "ab"
        ]
        await page.send_json_to({"type": "mount_batch", "views": views})
        await page.until(lambda: page.of("mount_batch"))
        await until(lambda: [session.key for session in sessions()] == ["room:b"])
    await until(lambda: not sessions())
