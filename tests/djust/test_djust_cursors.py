"""Cursors of djust's views: the guide's whiteboard, over djust's own socket."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest
from django.urls import path
from djust import LiveView
from djust.decorators import event_handler
from pytest_django import Settings

from djust_presence import LiveCursorMixin
from tests.djust.pages import DjustPage, DjustVisitor, djust_site

# Channels looks after database connections at every frame.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

TEMPLATES = {
    "whiteboard.html": """<!doctype html><html><body><div dj-root>{% load djust_presence %}
{% live_cursors %}<div id="board">{{ online_count }} here, {{ cursors|length }} pointers</div>{% endlive_cursors %}
</div></body></html>""",
    "plain.html": """<!doctype html><html><body><div dj-root>{{ online_count }} here</div></body></html>""",
}


class WhiteboardView(LiveCursorMixin, LiveView):
    template_name = "whiteboard.html"
    presence_key = "whiteboard:{board_id}"

    def mount(self, request, **kwargs):  # type: ignore[no-untyped-def]
        self.board_id = kwargs.get("board_id")
        self.track_presence(
            meta={
                "name": request.user.username,
                "color": self.assign_color(),
            }
        )

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


class PlainView(LiveCursorMixin, LiveView):
    template_name = "plain.html"
    presence_key = "plain:{board_id}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()


urlpatterns = [
    path("whiteboard/<slug:board_id>/", WhiteboardView.as_view()),
    path("plain/<slug:board_id>/", PlainView.as_view()),
]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    for name, value in djust_site(TEMPLATES).items():
        setattr(settings, name, value)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.DJUST_PRESENCE = {"GRACE": 0.05}


async def draws(page: DjustPage) -> None:
    """Say that the page is ready to draw, as our script does."""
    await page.until_for_script("ready")
    await page.send_json_to({"type": "cursor_move", "cursors": True})
    await page.until_for_script("cursors")


async def move(page: DjustPage, x: object, y: object) -> None:
    await page.send_json_to({"type": "cursor_move", "x": x, "y": y, "w": 800, "h": 600})


def moves(page: DjustPage) -> list[Any]:
    return [one for frame in page.for_script("cursors") for one in frame.get("moves", [])]


@pytest.mark.parametrize("kind", ["whiteboard", "plain"])
async def test_a_pointer_is_drawn_in_the_other_page_until_its_own_is_closed(kind: str) -> None:
    async with DjustVisitor("ada").opens(f"/{kind}/a/") as one:
        await one.until("1 here")
        await draws(one)
        async with DjustVisitor("grace").opens(f"/{kind}/a/") as two:
            await one.until("2 here")
            await draws(two)
            await move(two, 30, 40)
            await one.until(lambda: moves(one), patience=10)
            number, *place = moves(one)[-1]
            assert place[:4] == [30, 40, 800, 600]
            who = [frame.get("who", {}) for frame in one.for_script("cursors")]
            assert [people[str(number)]["name"] for people in who if str(number) in people] == ["grace"]
            await move(two, None, None)
            await one.until(lambda: one.for_script("cursors")[-1].get("gone") == [number], patience=10)
            await move(two, 50, 60)
            await one.until(lambda: moves(one)[-1][1:3] == [50, 60], patience=10)
        await one.until(lambda: one.for_script("cursors")[-1].get("gone"), patience=10)


async def test_the_view_reads_cursors_as_the_guide_does() -> None:
    async with (
        DjustVisitor("ada").opens("/whiteboard/a/") as one,
        DjustVisitor("grace").opens("/whiteboard/a/") as two,
    ):
        await one.until("2 here, 0 pointers")
        await draws(one)
        await draws(two)
        await move(two, 1.5, 2)
        await one.until("2 here, 1 pointers")
        await one.until(lambda: moves(one)[-1][1:3] == [1, 2], patience=10)


async def test_wrong_places_and_too_many_moves_change_nothing() -> None:
    async with (
        DjustVisitor("ada").opens("/plain/a/") as one,
        DjustVisitor("grace").opens("/plain/a/") as two,
    ):
        await one.until("2 here")
        await draws(one)
        await draws(two)
        nowhere: list[object] = ["left", float("1e999"), [1], {}]
        for x in nowhere:
            await two.send_json_to({"type": "cursor_move", "x": x, "y": 1})
        for number in range(400):
            await move(two, number, 1)
        await one.until(lambda: moves(one), patience=10)
        await two.send_json_to({"type": "ping"})
        await two.until(lambda: two.of("pong"), patience=10)  # djust's own limit has not closed it
        assert not two.of("rate_limit_exceeded")
        assert max(one[1] for one in moves(one)) < 200
