"""Names and colours of visitors, in pages, consumers and over HTTP."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.testing import WebsocketCommunicator
from django.contrib.sessions.backends.cache import SessionStore
from django.http import HttpRequest
from django.test import override_settings
from django.urls import path
from pytest_django import Settings

from djust_presence import LiveView, PresenceMixin, event_handler
from djust_presence.channels import PresenceConsumerMixin
from djust_presence.guests import ANIMALS, COLORS, guest_of
from djust_presence.testing import presence
from tests.client import scope_of
from tests.pages import Visitor, site

pytestmark = pytest.mark.urls(__name__)

NAME = re.compile(rf"(?:{'|'.join(COLORS)}) (?:{'|'.join(ANIMALS)})")
ROOM = "{% for one in presences %}[{{ one.name }}|{{ one.color }}]{% endfor %}"


class Room(PresenceMixin, LiveView):
    template_name = "room.html"
    presence_key = "room:{room}"
    meta: dict[str, Any] | None = None

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence(self.meta)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"presences": self.list_presences()}

    @event_handler()
    def say(self, called: str = "") -> None:
        self.update_presence(name=called or None, mood="calm")


class EachTab(Room):
    presence_unique_per_connection = True


urlpatterns = [
    path("room/<str:room>/", Room.as_view()),
    path("tabs/<str:room>/", EachTab.as_view()),
    path("named/<str:room>/", Room.as_view(meta={"name": "Ishmael", "color": "white"})),
    path("half/<str:room>/", Room.as_view(meta={"name": "", "color": "white"})),
]


class Chat(PresenceConsumerMixin, AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        self.track_presence("room:chat", {})
        self.update_presence("room:chat", mood="calm")
        (one,) = await self.alist_presences("room:chat")
        await self.send_json([one["name"], one["color"]])


@pytest.fixture(autouse=True)
async def named(settings: Settings) -> AsyncIterator[None]:
    for name, value in site({"room.html": ROOM}).items():
        setattr(settings, name, value)
    settings.DJUST_PRESENCE = {"GUEST_NAMES": True, "GRACE": 0.05, "REFRESH_INTERVAL": 0.01}
    async with presence():
        yield


def shown(html: str) -> list[tuple[str, str]]:
    """The name and the colour of each who is shown."""
    return re.findall(r"\[(.*?)\|(.*?)\]", html)


async def test_a_visitor_has_one_name_and_colour_on_every_page_and_in_every_tab() -> None:
    visitor, other = Visitor(), Visitor()
    async with visitor.opens("/room/a/") as one, visitor.opens("/room/a/") as tab:
        (first,) = shown(one.html)
        assert shown(tab.html) == [first]
        async with visitor.opens("/room/b/") as elsewhere:
            assert shown(elsewhere.html) == [first]
        async with other.opens("/room/a/") as theirs:
            assert shown(theirs.html)[0] == first
            assert len(shown(theirs.html)) == 2
    assert NAME.fullmatch(first[0])
    assert first[1] == COLORS[first[0].split()[0]]
    async with visitor.opens("/room/a/") as again:
        assert first in shown(again.html)


async def test_the_page_has_the_name_before_its_socket_is_open() -> None:
    visitor = Visitor()
    (own,) = shown(await visitor.get("/room/a/"))
    assert NAME.fullmatch(own[0])
    async with visitor.opens("/room/a/") as page:
        assert shown(page.html) == [own]
    assert shown(await Visitor().get("/tabs/b/"))[0][1]


async def test_each_tab_that_counts_by_itself_has_its_own() -> None:
    visitor = Visitor()
    async with visitor.opens("/tabs/a/") as one:
        await one.until("[")
        async with visitor.opens("/tabs/a/") as two:
            await two.until("][")
            names = shown(two.html)
    assert len(names) == 2
    assert all(NAME.fullmatch(name) for name, _ in names)


async def test_a_visitor_with_a_name_or_colour_keeps_it() -> None:
    async with Visitor().opens("/named/a/") as page:
        assert shown(page.html) == [("Ishmael", "white")]
    async with Visitor().opens("/half/b/") as page:
        ((name, color),) = shown(page.html)
        assert NAME.fullmatch(name)
        assert color == "white"
    async with Visitor("ada").opens("/room/c/") as page:
        assert shown(page.html) == [("ada", "")]


async def test_a_name_that_is_taken_away_is_the_visitors_own_again() -> None:
    async with Visitor().opens("/room/a/") as page:
        before = shown(page.html)
        await page.call("say", called="Queequeg")
        assert shown(page.html) == [("Queequeg", before[0][1])]
        await page.call("say")
        assert shown(page.html) == before


async def test_a_consumer_gives_a_visitor_the_name_that_pages_do(db: None) -> None:
    visitor = Visitor()
    async with visitor.opens("/room/page/") as page:
        own = shown(page.html)[0]
    socket = WebsocketCommunicator(Chat.as_asgi(), "/chat/")
    scope_of(socket)["session"] = SessionStore(visitor.client.cookies["sessionid"].value)
    await socket.connect()
    assert await socket.receive_json_from() == list(own)
    await socket.disconnect()


async def test_without_the_setting_a_visitor_is_a_guest(settings: Settings) -> None:
    settings.DJUST_PRESENCE = {}
    async with Visitor().opens("/room/a/") as page:
        assert shown(page.html) == [("Guest", "")]


@override_settings(SECRET_KEY="a key")
def test_names_outlast_a_restart_and_depend_on_the_secret_key() -> None:
    ids = [f"anon_{number}" for number in range(50)]
    names = [guest_of(one) for one in ids]
    assert names[:2] == [("Violet Okapi", "#665bdc"), ("Red Firefly", "#d12d28")]
    with override_settings(SECRET_KEY="another key"):
        assert sum(guest_of(one) == name for one, name in zip(ids, names, strict=True)) < 5


def test_different_visitors_mostly_have_different_names() -> None:
    names = [guest_of(f"anon_{number}") for number in range(100)]
    assert len(set(names)) > 80
    assert {color for _, color in names} == {*COLORS.values()}


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("color", COLORS.values())
def test_white_letters_can_be_read_on_each_colour_and_each_is_seen_on_a_dark_page(color: str) -> None:
    assert 1.05 / (luminance(color) + 0.05) >= 4.5
    assert (luminance(color) + 0.05) / (luminance("#1c1b23") + 0.05) >= 3
