"""Bounds on what a page of djust does to others: floods, tracebacks, deep JSON, forged ids, keys out of URLs."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from time import monotonic
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import AsyncClient
from django.urls import path
from djust import LiveView
from djust.decorators import event_handler
from pytest_django import Settings

from djust_presence import LiveCursorMixin, presence
from djust_presence.cursors import live_cursors_of
from djust_presence.hosts.limits import FLOOD, FRAMES_PER_SECOND
from djust_presence.tracker import get_tracker
from tests.djust.pages import DjustPage, DjustVisitor, djust_site
from tests.state.test_json_text import nested
from tests.until import until

# Channels looks after database connections at every frame.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

BOARD = "<!doctype html><html><body><div dj-root>{{ online_count }} here, heard {{ heard|join:'+' }}</div></body></html>"


class Board(LiveCursorMixin, LiveView):
    template_name = "board.html"
    presence_key = "board:{board}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.heard: list[str] = []
        self.track_presence({"user_id": "forged"})

    @event_handler()
    def update(self, changes: Any = None, **kwargs: Any) -> None:
        try:
            self.update_presence(**changes)
        except ValueError:
            self.push_event("refused", {})

    @event_handler()
    def shout(self, payload: Any = None, **kwargs: Any) -> None:
        try:
            self.broadcast_to_presence("shout", payload)
        except ValueError:
            self.push_event("refused", {})

    def handle_presence_event(self, event: str, payload: Any) -> None:
        if event == "fail":
            raise RuntimeError("a bug of the callback")
        self.heard.append(event)


class Fails(Board):
    @event_handler()
    def cursor_move(self, x: float = 0, y: float = 0, **kwargs: Any) -> None:
        raise RuntimeError("a bug of the move")


urlpatterns = [
    path("board/<str:board>/", Board.as_view()),
    path("fails/<str:board>/", Fails.as_view()),
]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    for name, value in djust_site({"board.html": BOARD}).items():
        setattr(settings, name, value)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.DJUST_PRESENCE = {"GRACE": 0.05}


async def answered(page: DjustPage) -> None:
    """Wait for djust's answer to a ping: it has then taken in all frames before."""
    await page.send_json_to({"type": "ping"})
    while (await page.frame())["type"] != "pong":
        pass


def move(x: float) -> dict[str, Any]:
    return {"type": "cursor_move", "x": x, "y": 1}


def moves_taken() -> int:
    """Return how often the only cursor has moved."""
    (session,) = get_tracker().sessions
    cursors = live_cursors_of(session)
    assert cursors
    (state,) = cursors._cursors._states.values()
    return state.step


async def test_moves_beyond_the_limit_are_dropped_without_a_word(said: list[str]) -> None:
    async with DjustVisitor("ada").opens("/board/a/") as page:
        await page.until("1 here")
        begun = monotonic()
        for x in range(1500):  # all there before the first is taken in
            page.input_queue.put_nowait({"type": "websocket.receive", "text": json.dumps(move(x))})
        await answered(page)
        most = FRAMES_PER_SECOND * (1 + monotonic() - begun)
        assert FRAMES_PER_SECOND <= moves_taken() <= most
        assert page.of("error") == page.of("rate_limit_exceeded") == []
        await asyncio.sleep(0.1)  # ten more
        before = moves_taken()
        await page.send_json_to(move(7))
        await answered(page)
        assert moves_taken() == before + 1


@pytest.mark.parametrize(
    "frame",
    [
        move(1),
        {"type": "cursor_move", "cursors": True},
        {"type": "cursor_move", "x": nested(40), "y": {}},
    ],
    ids=["moves", "wishes for cursors", "deep moves"],
)
async def test_a_flood_of_frames_is_closed_as_such(
    frame: dict[str, Any], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with DjustVisitor("ada").opens("/board/a/") as page:
        await page.until("1 here")
        text, loop = json.dumps(frame), asyncio.get_running_loop()
        with monkeypatch.context() as stopped:
            # A busy machine may take less in within a second than the limit allows.
            stopped.setattr(loop, "time", partial(float, loop.time()))
            for _ in range(5 * FLOOD * FRAMES_PER_SECOND):
                await page.send_to(text_data=text)
            message = await page.receive_output(timeout=10)
            while message["type"] == "websocket.send":
                message = await page.receive_output(timeout=10)
        assert message["code"] == 4408
        await until(lambda: not get_tracker().sessions)
    assert said == ["A socket of djust was closed: too many frames."]
    said.clear()


async def test_code_that_always_fails_gets_a_few_tracebacks(said: list[str]) -> None:
    async with DjustVisitor("ada").opens("/fails/a/") as page:
        await page.until("1 here")
        for _ in range(40):
            await presence.abroadcast("board:a", "fail")
        await presence.abroadcast("board:a", "shout")
        await page.until("heard shout")
        for x in range(15):
            await page.send_json_to(move(x))
            await asyncio.sleep(1 / 25)
        await until(lambda: said.count("Fails.cursor_move failed.") >= 9)
    assert said.count("Board.handle_presence_event failed.") == 10
    assert len(said) <= 20
    said.clear()


async def test_a_value_that_is_too_deep_is_an_error_of_its_sender() -> None:
    async with (
        DjustVisitor("ada").opens("/board/a/") as ada,
        DjustVisitor("grace").opens("/board/a/") as grace,
    ):
        await ada.until("2 here")
        await grace.until("2 here")
        for levels in (33, 600):
            await ada.call("update", changes={"odd": nested(levels)})
            await ada.call("shout", payload=nested(levels))
        await ada.until_pushed("refused", 4)
        await ada.call("shout", payload=nested(32))
        await grace.until("heard shout")
        assert "shout+shout" not in grace.html


async def test_nobody_can_give_themselves_the_user_id_of_somebody_else() -> None:
    async with (
        DjustVisitor("ada").opens("/board/a/") as ada,
        DjustVisitor(None).opens("/board/a/") as guest,
    ):
        await ada.until("2 here")
        for page in (ada, guest):
            await page.call("update", changes={"user_id": 8, "color": "red"})
        await until(lambda: [one.get("color") for one in presence_of_board()] == ["red", "red"])
        assert {one["name"]: one.get("user_id") for one in presence_of_board()} == {"ada": 7, "Guest": None}


def presence_of_board() -> list[dict[str, Any]]:
    session = get_tracker().sessions[0]
    return list(session.owner.list_presences())


async def test_a_url_whose_key_is_too_long_is_not_found(said: list[str]) -> None:
    assert (await AsyncClient().get(f"/board/{'x' * 300}/")).status_code == 404
    assert [line for line in said if not line.startswith("Not Found: /board/")] == []
    said.clear()
