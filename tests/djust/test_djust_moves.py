"""Moves that a djust view handles itself: who may send them, and the effects of the handler's code."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.contrib.auth.decorators import user_passes_test
from django.http import HttpRequest
from django.urls import path
from django.utils.decorators import method_decorator
from djust import LiveView
from djust.decorators import background, event_handler, permission_required, rate_limit
from pytest_django import Settings

from djust_presence import LiveCursorMixin
from djust_presence.djust.host import _consumer
from djust_presence.tracker import Session, get_tracker
from tests.djust.pages import DjustPage, DjustVisitor, djust_site
from tests.until import until

# Channels looks after database connections at every frame.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

BOARD = """<!doctype html><html><body><div dj-root>
<p>{{ online_count }} here, trail {{ trail|length }}, {{ done }}</p>
</div></body></html>"""


class Board(LiveCursorMixin, LiveView):
    """Takes moves in by code of its own. Of two visitors, Ada may do all, and Grace little."""

    template_name = "board.html"
    presence_key = "board:{board}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        request.user.is_superuser = request.user.get_username() == "ada"
        self.trail: list[float] = []
        self.done = "not done"
        self.track_presence()

    @event_handler()
    def cursor_move(self, x: float = 0, y: float = 0, **kwargs: Any) -> None:
        self.taken(x)
        self.handle_cursor_move(x, y)

    def taken(self, x: float) -> None:
        self.push_event("taken", {"x": x})


class NeedsPermission(Board):
    @permission_required("boards.draw")
    @event_handler()
    def cursor_move(self, x: float = 0, y: float = 0, **kwargs: Any) -> None:
        super().cursor_move(x, y)


class NeedsObject(Board):
    open_to_all = True

    def get_object(self) -> str:
        return "the board"

    def has_object_permission(self, request: HttpRequest, obj: object) -> bool:
        return self.open_to_all or bool(request.user.is_superuser)


class NeedsObjectThatFails(NeedsObject):
    def has_object_permission(self, request: HttpRequest, obj: object) -> bool:
        return super().has_object_permission(request, obj) or bool(1 / 0)


@method_decorator(user_passes_test(lambda user: user.is_superuser), name="post")
class NeedsPost(Board):
    pass


class Undecorated(Board):
    def cursor_move(self, x: float = 0, y: float = 0, **kwargs: Any) -> None:
        super().cursor_move(x, y)


class Limited(Board):
    @rate_limit(rate=0.001, burst=2)
    @event_handler()
    def cursor_move(self, x: float = 0, y: float = 0, **kwargs: Any) -> None:
        super().cursor_move(x, y)


class Handles(LiveCursorMixin, LiveView):
    """Has code of its own only behind the cursor_move() that it inherits."""

    template_name = "board.html"
    presence_key = "board:{board}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()

    def handle_cursor_move(self, x: float, y: float) -> None:
        self.push_event("taken", {"x": x})
        super().handle_cursor_move(x, y)


class Busy(Board):
    """Does all that a handler may."""

    def taken(self, x: float) -> None:
        {1: self.flash, 2: self.work, 3: self.leave, 4: self.leave_a_trail, 5: self.change_nothing}[int(x)]()

    def flash(self) -> None:
        self.put_flash("info", "moved")  # type: ignore[attr-defined]

    def work(self) -> None:
        self.start_async(self.finish, "done by start_async")  # type: ignore[attr-defined]

    @background
    def finish(self, how: str) -> None:
        self.done = how

    def leave(self) -> None:
        self.live_redirect("/board/elsewhere/")

    def leave_a_trail(self) -> None:
        self.trail.append(1)

    def change_nothing(self) -> None:
        self._skip_render = True


KINDS: dict[str, Any] = {
    "board": Board,
    "permission": NeedsPermission,
    "object": NeedsObject,
    "failing-object": NeedsObjectThatFails,
    "post": NeedsPost,
    "undecorated": Undecorated,
    "limited": Limited,
    "handles": Handles,
    "busy": Busy,
}
urlpatterns = [path(f"{kind}/<slug:board>/", view.as_view()) for kind, view in KINDS.items()]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    for name, value in djust_site({"board.html": BOARD}).items():
        setattr(settings, name, value)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.DJUST_PRESENCE = {"GRACE": 0.05}


@asynccontextmanager
async def opened(kind: str, name: str = "ada") -> AsyncIterator[tuple[DjustPage, Session]]:
    async with DjustVisitor(name).opens(f"/{kind}/a/") as page:
        await page.until("1 here")
        (session,) = get_tracker().sessions
        yield page, session


async def move(page: DjustPage, x: float) -> None:
    await page.send_json_to({"type": "cursor_move", "x": x, "y": 1})


def taken(page: DjustPage) -> list[float]:
    return [one["x"] for one in page.pushed("taken")]


async def until_taken(page: DjustPage) -> list[float]:
    await page.until_pushed("taken")
    return taken(page)


async def settled(page: DjustPage, session: Session) -> None:
    """Wait until a move that was sent is handled or refused, and its frames are here."""
    consumer: Any = _consumer(session)
    await page.send_json_to({"type": "ping"})
    while (await page.frame())["type"] != "pong":
        pass
    await until(lambda: not consumer._presence_pointer.waits and not consumer._render_lock.locked())
    await page.send_json_to({"type": "ping"})
    while (await page.frame())["type"] != "pong":
        pass


@pytest.mark.parametrize("kind", ["board", "permission", "post", "object", "handles"])
async def test_moves_of_a_visitor_with_permission_are_taken_in(kind: str) -> None:
    async with opened(kind) as (page, session):
        await move(page, 1.5)
        assert await until_taken(page) == [1.5]
        await settled(page, session)
        assert page.of("error") == page.of("noop") == []


@pytest.mark.parametrize("kind", ["permission", "post", "object"])
async def test_a_visitor_without_permission_moves_nothing_and_is_not_told(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(kind, "grace") as (page, session):
        monkeypatch.setattr(NeedsObject, "open_to_all", False)
        await move(page, 1)
        await settled(page, session)
        assert not taken(page)
        assert not page.of("error")


async def test_a_check_that_fails_refuses_the_move(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened("failing-object", "grace") as (page, session):
        monkeypatch.setattr(NeedsObject, "open_to_all", False)
        await move(page, 1)
        await settled(page, session)
        assert not taken(page)
        assert not page.of("error")
        monkeypatch.undo()
        await move(page, 2)
        assert await until_taken(page) == [2]
    assert len(said) == 1
    said.clear()


async def test_moves_are_taken_in_again_after_a_check_that_broke_down(said: list[str]) -> None:
    async with opened("permission") as (page, session):
        user, session.owner.request.user = session.owner.request.user, object()
        await move(page, 1)
        await until(lambda: said)
        session.owner.request.user = user
        await move(page, 2)
        assert await until_taken(page) == [2]
    assert said == ["A move for NeedsPermission could not be handled."]
    said.clear()


async def test_a_move_needs_a_decorated_handler(said: list[str]) -> None:
    async with opened("undecorated") as (page, session):
        await move(page, 1)
        await settled(page, session)
        assert not taken(page)
        assert not page.of("error")
    assert said == ["Security check failed for event cursor_move"]
    said.clear()


async def test_a_rate_limit_drops_moves_but_not_the_page(said: list[str]) -> None:
    async with opened("limited") as (page, session):
        for x in range(3):
            await move(page, x)
            await settled(page, session)
        for x in range(30):
            await move(page, x)
        await settled(page, session)
        assert taken(page) == [0, 1]
        assert page.of("error") == []
    # How often it says so does not depend on how often the pointer moves.
    assert len(said) == 2
    assert all("rate limit exceeded for 'cursor_move'" in line for line in said)
    said.clear()


async def test_actions_of_a_view_on_a_move_take_effect_at_once() -> None:
    async with opened("busy") as (page, session):
        await move(page, 1)
        await page.until(lambda: page.of("flash"))
        await move(page, 2)
        await page.until("done by start_async")
        await move(page, 3)
        await page.until(lambda: page.of("navigation"))
        await move(page, 4)
        await page.until("trail 1")
        await move(page, 4)
        await page.until("trail 2")
        await settled(page, session)
        rendered = len(page.of("patch"))
        await move(page, 5)
        await settled(page, session)
        await page.send_json_to({"type": "cursor_move", "x": 4, "y": 1})
        await page.until("trail 3")
        assert len(page.of("patch")) == rendered + 1


async def test_a_move_is_not_taken_in_by_the_view_that_follows() -> None:
    async with opened("board") as (page, session):
        consumer: Any = _consumer(session)
        async with consumer._render_lock:
            await move(page, 1)
            await until(lambda: consumer._presence_mover is not None)
            await page.send_json_to(
                {"type": "live_redirect_mount", "view": page.view, "url": "/board/b/", "params": {}}
            )
            await until(lambda: consumer.view_instance not in (None, session.owner))
        await move(page, 2)
        assert await until_taken(page) == [2]


@pytest.mark.parametrize("x", ["[" * 4000, "[" * 33 + "]" * 33, "NaN", "9" * 4000, "", '"\\ud800"'])
async def test_a_move_that_is_no_json_ends_nothing(x: str, said: list[str]) -> None:
    async with opened("handles") as (page, session):
        await page.send_to(text_data=f'{{"type": "cursor_move", "x": {x}, "y": 1}}')
        await move(page, 2)
        assert await until_taken(page) == [2]
        assert session.open
