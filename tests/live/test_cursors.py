"""Pointers on live pages, from the page's frame to what the others are sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from django.core.cache import caches
from django.core.exceptions import PermissionDenied
from django.template import engines
from django.urls import path
from pytest_django import Settings

from djust_presence import CursorTracker, LiveCursorMixin, LiveView, PresenceMixin, event_handler
from djust_presence.cursors import LiveCursors
from djust_presence.tracker import get_tracker
from tests.cursors.drawing import Drawing
from tests.live.conftest import Socket, live
from tests.until import until

calls: list[Any] = []
may_go_on = threading.Event()


class Board(LiveCursorMixin, LiveView):
    presence_key = "board"
    presence_unique_per_connection = True
    source = "{{ online_count }} online"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.name = request.GET.get("name", "")
        self.track_presence(meta={"name": self.name})

    def get_template_names(self) -> Any:
        return engines["django"].from_string(self.source)


class Guide(LiveCursorMixin, LiveView):
    """The guide's whiteboard, but for the name of its template."""

    presence_key = "whiteboard:{board_id}"
    presence_unique_per_connection = True

    def get_template_names(self) -> Any:
        source = "{% for id, cursor in cursors.items %}<i>{{ cursor.x }},{{ cursor.y }}</i>{% endfor %}"
        return engines["django"].from_string(source)

    def mount(self, request, **kwargs):  # type: ignore[no-untyped-def]
        self.board_id = kwargs.get("board_id")
        self.track_presence(meta={
            "name": request.user.username,
            "color": self.assign_color(),  # type: ignore[no-untyped-call]
        })  # fmt: skip

    @event_handler()
    def cursor_move(self, x=0, y=0, **kwargs):  # type: ignore[no-untyped-def]
        self.handle_cursor_move(int(x), int(y))

    def get_context_data(self, **kwargs):  # type: ignore[no-untyped-def]
        ctx = super().get_context_data(**kwargs)
        ctx["cursors"] = self.get_cursors()
        return ctx

    def assign_color(self):  # type: ignore[no-untyped-def]
        colors = ["#e74c3c", "#3498db", "#2ecc71", "#f39c12", "#9b59b6"]
        return colors[self.presence_count() % len(colors)]


class AtWork:
    """Counts the threads in this block, and the most that there were."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self.now -= 1


at_work = AtWork()


class Recording(Board):
    """Notes its calls, shows the last and says so; "hang" waits, "fail" and "forbid" raise, "busy" takes a while."""

    source = "{{ last }}"
    last = ""

    @event_handler()
    def cursor_move(self, x: int = 0, y: int = 0, w: int = 0) -> None:  # type: ignore[override]
        calls.append((self.name, x, y, w))
        if self.name == "hang":
            may_go_on.wait(20)
        if self.name == "fail":
            raise RuntimeError("a handler's failure")
        if self.name == "forbid":
            raise PermissionDenied
        if self.name.startswith("busy"):
            with at_work:
                time.sleep(0.02)
        if x == 77:
            self.last = f"at {x}"
            self.push_event("moved", x)
        self.handle_cursor_move(x + (100 if x == 5 else 0), y)


class Awaiting(Board):
    @event_handler()
    async def cursor_move(self, x: int = 0, y: int = 0) -> None:  # type: ignore[override]
        if self.name == "cancelled":
            task = asyncio.ensure_future(asyncio.sleep(60))
            task.cancel()
            await task
        self.handle_cursor_move(x + 1, y + 1)


class Undecorated(Board):
    def cursor_move(self, x: float = 0, y: float = 0, **kwargs: Any) -> None:
        calls.append("undecorated")


class Misplacing(Board):
    @event_handler()
    def place(self, text: str) -> None:
        self.handle_cursor_move(float(text), 0)


class NoCursors(PresenceMixin, LiveView):
    def mount(self, request: Any, **kwargs: Any) -> None:
        self.track_presence()

    def get_template_names(self) -> Any:
        return engines["django"].from_string("{{ online_count }} online")


urlpatterns = [
    path("board/", Board.as_view()),
    path("guide/<board_id>/", Guide.as_view()),
    path("recording/", Recording.as_view()),
    path("awaiting/", Awaiting.as_view()),
    path("undecorated/", Undecorated.as_view()),
    path("misplacing/", Misplacing.as_view()),
    path("none/", NoCursors.as_view()),
]


@pytest.fixture(autouse=True)
def fresh(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    calls.clear()
    may_go_on.clear()
    caches["default"].clear()


class Page:
    """A live page with cursors, and what it draws."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.drawing = Drawing()
        self.frames: list[dict[str, Any]] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            message = await self.socket.output_queue.get()
            if message["type"] != "websocket.send":
                return
            frame = json.loads(message["text"])
            self.frames.append(frame)
            if frame["type"] == "cursors":
                self.drawing.take(frame)

    async def end(self) -> None:
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    async def shows_cursors(self) -> None:
        await until(lambda: self.frames)
        await self.socket.send_json_to({"type": "cursors"})
        await until(lambda: self.drawing.you or self.errors)

    async def move(self, x: Any, y: Any = 0, **fields: Any) -> None:
        await self.socket.send_json_to({"type": "cursor", "x": x, "y": y, **fields})

    async def shows(self, **expected: Any) -> None:
        await until(lambda: self.drawing.shown == {name: [list(at)] for name, at in expected.items()})

    @property
    def errors(self) -> list[str]:
        return [frame["code"] for frame in self.frames if frame["type"] == "error"]

    @property
    def html(self) -> str:
        rendered = [frame["regions"]["*"] for frame in self.frames if frame["type"] == "render"]
        return rendered[-1] if rendered else ""


@asynccontextmanager
async def pages(*paths: str) -> AsyncIterator[list[Page]]:
    """Live pages that draw cursors, each aware of all."""
    async with AsyncExitStack() as stack:
        opened = []
        for where in paths:
            page = Page(await stack.enter_async_context(live(where)))
            stack.push_async_callback(page.end)
            await page.shows_cursors()
            opened.append(page)
        yield opened


async def test_a_page_sees_the_moves_of_others_and_not_its_own() -> None:
    async with pages("/board/?name=ann", "/board/?name=bob") as [ann, bob]:
        await ann.move(3, 4, w=30, h=40, anchor="word", ax=1, ay=2, aw=3, ah=4)
        await bob.shows(ann=(3, 4, 30, 40, "word", 1, 2, 3, 4))
        await bob.move(5, 6)
        await ann.shows(bob=(5, 6))
        await ann.move(None)
        await bob.shows()
        await ann.shows(bob=(5, 6))


async def test_a_cursor_is_gone_with_its_socket() -> None:
    async with pages("/board/?name=bob") as [bob]:
        async with pages("/board/?name=ann") as [ann]:
            await ann.move(3, 4)
            await bob.shows(ann=(3, 4))
        await bob.shows()


async def test_moves_come_without_a_render_and_without_an_answer() -> None:
    async with pages("/board/?name=ann", "/board/?name=bob") as [ann, bob]:
        await until(lambda: "2 online" in ann.html and "2 online" in bob.html)
        seen = len(ann.frames), [frame["type"] for frame in bob.frames].count("render")
        for n in range(5):
            await ann.move(n, n)
            await bob.shows(ann=(n, n))
        assert (len(ann.frames), [frame["type"] for frame in bob.frames].count("render")) == seen


@pytest.mark.parametrize(
    "wrong",
    ['"x":"a","y":1', '"x":{},"y":1', '"x":NaN,"y":1', '"x":1e999,"y":1', f'"x":{"9" * 50_000},"y":1', '"y":1', '"x":1'],
)  # fmt: skip
async def test_a_value_that_is_not_a_position_is_refused_and_nobody_hears_of_it(wrong: str) -> None:
    async with pages("/board/?name=ann", "/board/?name=bob") as [ann, bob]:
        seen = len(bob.frames)
        await ann.socket.send_to(text_data='{"type":"cursor",' + wrong + "}")
        await until(lambda: ann.errors)
        assert ann.errors == ["bad-frame"]
        await ann.move(1, 2)
        await bob.shows(ann=(1, 2))
        assert [frame for frame in bob.frames[seen:] if frame["type"] == "cursors"] == bob.frames[-1:]


async def test_a_view_without_cursors_says_so() -> None:
    async with pages("/none/") as [page]:
        await page.move(1, 2)
        await until(lambda: len(page.errors) == 2)
        assert set(page.errors) == {"no-cursors"}


async def test_the_guides_view_works_as_it_stands() -> None:
    async with pages("/guide/7/", "/guide/7/", "/guide/8/") as [ann, bob, elsewhere]:
        await ann.move(450, 200, w=800, h=600)
        await bob.shows(**{"": (450, 200, 800, 600)})
        [who] = bob.drawing._who.values()
        assert who["color"] == "#e74c3c"
        await until(lambda: "<i>450,200</i>" in bob.html)
        await until(lambda: "<i>450,200</i>" in ann.html)
        await ann.move(None)
        await until(lambda: "<i>" not in bob.html)
        assert elsewhere.drawing.shown == {}
        assert "<i>" not in elsewhere.html


async def test_a_page_over_http_has_the_cursors_of_the_cache(async_client: Any) -> None:
    CursorTracker.update_cursor("whiteboard:7", "ann", 1, 2)
    response = await async_client.get("/guide/7/")
    assert b"<i>1,2</i>" in response.content


async def test_a_view_with_a_handler_of_its_own_gets_the_latest_move_only() -> None:
    async with pages("/recording/?name=hang", "/recording/?name=bob") as [ann, bob]:
        await ann.move(1, 0, w=500, h=400)
        await until(lambda: calls)
        for n in range(2, 50):
            await ann.move(n, 0, w=500, h=400)
        await bob.move(1, 1)
        await ann.shows(bob=(1, 1))
        may_go_on.set()
        await bob.shows(hang=(49, 0, 500, 400))
        assert [call for call in calls if call[0] == "hang"] == [("hang", 1, 0, 500), ("hang", 49, 0, 500)]


async def test_a_handler_that_hangs_holds_up_nobody_elses_cursor() -> None:
    async with pages(*["/recording/?name=hang"] * 3, *(f"/recording/?name={n}" for n in range(10))) as opened:
        hanging, others = opened[:3], opened[3:]
        for page in hanging:
            await page.move(1)
        await until(lambda: len(calls) == 3)
        began = time.monotonic()
        for page in others:
            await page.move(2, 2)
        await others[0].shows(**{str(n): (2, 2) for n in range(1, 10)})
        assert time.monotonic() - began < 10
        may_go_on.set()


async def test_a_pointer_that_leaves_while_a_handler_is_at_it_does_not_come_back() -> None:
    async with pages("/recording/?name=hang", "/recording/?name=bob") as [ann, bob]:
        await ann.move(1)
        await until(lambda: calls)
        await ann.move(None)
        await ann.socket.send_json_to({"type": "ping"})
        await until(lambda: {"type": "pong"} in ann.frames)
        may_go_on.set()
        await ann.socket.send_event(1, "nothing")  # whose turn comes after the move's
        await until(lambda: ann.errors)
        [group] = get_tracker().groups.values()
        cursors = group.extensions[LiveCursors]
        assert isinstance(cursors, LiveCursors)
        assert len(cursors._cursors) == 0
        await ann.move(2)
        await bob.shows(hang=(2, 0))


async def test_moves_that_keep_coming_leave_workers_for_everything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "djust_presence.live.moves.SLOW", 10.0
    )  # on a busy machine some moves would be dropped
    async with pages(*(f"/recording/?name=busy{n}" for n in range(24))) as movers:
        began = time.monotonic()
        while time.monotonic() - began < 1.5:
            for page in movers:
                await page.move(len(calls))
            await asyncio.sleep(0.03)
        assert len({name for name, *_ in calls}) == 24
        assert 1 <= at_work.most <= 5  # of eight workers
        await until(lambda: not at_work.now)


async def test_a_handler_that_awaits_something_cancelled_costs_that_move_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with pages("/awaiting/?name=cancelled", "/awaiting/?name=bob") as [ann, bob]:
        await ann.move(1)
        await until(lambda: "was cancelled" in caplog.text)
        await ann.socket.send_event(1, "nothing")
        await until(lambda: ann.errors == ["unknown-event"])
        await bob.move(2, 2)
        await ann.shows(bob=(3, 3))


@pytest.mark.parametrize(
    ("name", "x", "text"),
    [("fail", 1, "a handler's failure"), ("ann", 1.5, "was not called: "), ("forbid", 1, "Forbidden")],
)
async def test_moves_that_fail_do_not_flood_the_log(
    name: str, x: float, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with pages(f"/recording/?name={name}") as [ann]:
        for n in range(20):
            await ann.move(x, n)
            await asyncio.sleep(0.05)
        lines = [record for record in caplog.records if "cursor_move" in record.getMessage()]
        assert 1 <= len(lines) <= 10
        assert text in caplog.text


async def test_changes_and_pushes_of_a_handler_arrive() -> None:
    async with pages("/recording/?name=ann") as [ann]:
        await ann.move(77)
        await until(
            lambda: (
                ann.html.endswith("at 77") and {"type": "push", "event": "moved", "payload": 77} in ann.frames
            )
        )


async def test_a_handler_that_fails_costs_that_move_only(caplog: pytest.LogCaptureFixture) -> None:
    async with pages("/recording/?name=fail", "/recording/?name=bob") as [ann, bob]:
        await ann.move(1)
        await until(lambda: "a handler's failure" in caplog.text)
        await bob.move(2, 2)
        await ann.shows(bob=(2, 2))
        assert bob.drawing.shown == {}


async def test_another_place_than_the_pages_has_no_anchor() -> None:
    where = {"w": 30, "h": 40, "anchor": "word", "ax": 1, "ay": 2, "aw": 3, "ah": 4}
    async with pages("/recording/?name=ann", "/recording/?name=bob") as [ann, bob]:
        await ann.move(5, 6, **where)
        await bob.shows(ann=(105, 6, 30, 40))
        await ann.move(6, 6, **where)
        await bob.shows(ann=(6, 6, 30, 40, "word", 1, 2, 3, 4))


async def test_a_handler_may_be_async() -> None:
    async with pages("/awaiting/?name=ann", "/awaiting/?name=bob") as [ann, bob]:
        await ann.move(1, 2)
        await bob.shows(ann=(2, 3))


async def test_an_override_that_is_no_event_handler_is_not_called(caplog: pytest.LogCaptureFixture) -> None:
    async with pages("/undecorated/?name=ann") as [ann]:
        await ann.move(1, 2)
        await until(lambda: "Undecorated.cursor_move() is not an @event_handler" in caplog.text)
        for x in range(5):
            await ann.move(x, 2)
            await asyncio.sleep(0.05)  # for a tick
        assert calls == []
        assert caplog.text.count("not an @event_handler") == 1


async def test_a_place_that_is_none_changes_nothing_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with pages("/misplacing/?name=ann", "/misplacing/?name=bob") as [ann, bob]:
        for text in ("nan", "inf", "12"):
            await ann.socket.send_event(None, "place", text=text)
        await bob.shows(ann=(12.0, 0))
        assert caplog.text.count("was refused") == 1


async def test_moves_arrive_by_event_as_well() -> None:
    async with pages("/board/?name=ann", "/board/?name=bob") as [ann, bob]:
        await ann.socket.send_event(1, "cursor_move", x=3, y=4.5)
        await bob.shows(ann=(3, 4.5))
        await until(lambda: {"type": "ack", "ref": 1} in ann.frames)
