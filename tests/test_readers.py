"""The HTML of a page counts its reader, as the page will when its socket is open."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.test import RequestFactory
from django.urls import path
from pytest_django import Settings

from djust_presence import LiveView, PresenceError, PresenceMixin, event_handler
from djust_presence import presence as facade
from djust_presence.testing import presence
from tests.backends.test_redis import monitored
from tests.pages import Visitor, site
from tests.servers import free_port

pytestmark = pytest.mark.urls(__name__)

ROOM = (
    "{{ online_count }} here:{% for p in presences %}"
    " [{{ p.id }} {{ p.name }} {{ p.color }} x{{ p.connections }}]{% endfor %} {{ extra }}"
)
ADA = "[7 ada red x1]"


class Room(PresenceMixin, LiveView):
    template_name = "room.html"
    presence_key: str | None = "room:{room}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        self.track_presence({"color": "red"})
        self.after()

    def after(self) -> None:
        """Whatever else it does when it is mounted."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(presences=self.list_presences(), **kwargs)


class Counting(Room):
    """As in the guide."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(online_count=self.presence_count(), **kwargs)


class Async(Room):
    async def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence({"color": "red"})
        self.extra = self.online_count  # while the store could not be asked


class AsyncTwins(Room):
    async def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        await self.atrack_presence({"color": "red"})
        people = await self.alist_presences()
        self.extra = [self.online_count, await self.apresence_count(), [one["name"] for one in people]]


class Updated(Room):
    def after(self) -> None:
        self.update_presence(color="blue", size=3)
        self.update_presence(color="green", size=None)


class Untracked(Room):
    def after(self) -> None:
        self.untrack_presence()


class Returned(Untracked):
    def after(self) -> None:
        super().after()
        self.track_presence({"color": "green"})


class Elsewhere(Room):
    """Tracks one group, and watches another."""

    def after(self) -> None:
        self.presence_key = "hall"
        if "watch" in self.request.GET:
            self.watch_presence()


class WatchingToo(Room):
    def after(self) -> None:
        self.watch_presence()


class Watching(Room):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.watch_presence()


class EachTab(Room):
    presence_unique_per_connection = True


class Nothing(Room):
    """Has nothing to update."""

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        if kwargs["room"] == "watched":
            self.watch_presence()
        elif kwargs["room"] == "left":
            self.track_presence()
            self.untrack_presence()
        self.extra = "nothing was said"
        try:
            self.update_presence(color="red")
        except PresenceError as error:
            self.extra = str(error)

    @event_handler()
    async def paint(self) -> None:
        await self.aupdate_presence(color="red")


VIEWS = [Room, Counting, Async, AsyncTwins, Updated, Untracked, Returned, Elsewhere]
urlpatterns = [
    path(f"{view.__name__}/<room>/", view.as_view())
    for view in (*VIEWS, WatchingToo, Watching, EachTab, Nothing)
]


@pytest.fixture(autouse=True)
def room_site(settings: Settings) -> None:
    for name, value in site({"room.html": ROOM}).items():
        setattr(settings, name, value)
    settings.DJUST_PRESENCE = {"GRACE": 0.05, "REFRESH_INTERVAL": 0.01}


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    async with presence():
        yield


def shown(html: str) -> str:
    """Return what a page shows, without its script."""
    return html.partition("<script")[0].strip()


def count(html: str) -> int:
    found = re.match(r"\d+", shown(html))
    assert found, html
    return int(found[0])


async def somebody_is_stored() -> None:
    async with asyncio.timeout(5):
        while not await facade.acount("room:a"):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("Room", f"1 here: {ADA}"),
        ("Counting", f"1 here: {ADA}"),
        ("Async", f"1 here: {ADA} 1"),
        ("AsyncTwins", f"1 here: {ADA} [1, 1, [&#x27;ada&#x27;]]"),
        ("Updated", "1 here: [7 ada green x1]"),
        ("Untracked", "0 here:"),
        ("Returned", "1 here: [7 ada green x1]"),
        ("WatchingToo", f"1 here: {ADA}"),
        ("Elsewhere", f"1 here: {ADA}"),
        ("Watching", "0 here:"),
    ],
)
async def test_the_html_is_the_page_as_it_will_be(page: str, said: str) -> None:
    ada = Visitor("ada")
    html = shown(await ada.get(f"/{page}/a/"))
    assert html == said
    assert await facade.alist("room:a") == []
    async with ada.socket(f"/{page}/a/") as socket:
        await socket.until(" here:")
        assert {shown(text) for frame in socket.frames for text in frame.get("regions", {}).values()} == {
            said
        }


async def test_another_group_is_seen_as_it_is() -> None:
    await facade.ajoin("hall", "x")
    assert shown(await Visitor("ada").get("/Elsewhere/a/?watch")) == "1 here: [x Guest  x1]"


async def test_the_reader_comes_after_those_who_are_here() -> None:
    await facade.ajoin("room:a", "x", {"name": "Zoe"})
    await facade.ajoin("room:a", "8", {"name": "Abe"})
    for page in ("Room", "Async", "AsyncTwins"):
        html = await Visitor("ada").get(f"/{page}/a/")
        assert shown(html).startswith(f"3 here: [x Zoe  x1] [8 Abe  x1] {ADA}")


@pytest.mark.parametrize("name", ["ada", None])
@pytest.mark.parametrize("page", ["Room", "Counting", "AsyncTwins"])
async def test_a_reader_with_another_tab_is_not_counted_twice(name: str | None, page: str) -> None:
    visitor = Visitor(name)
    async with visitor.opens("/Room/a/"):
        await somebody_is_stored()
        html = shown(await visitor.get(f"/{page}/a/"))
        assert count(html) == 1
        assert html.count("red x2]") == 1
        assert count(await Visitor().get(f"/{page}/a/")) == 2


@pytest.mark.parametrize("cookies", [True, False], ids=["cookies", "no cookies"])
@pytest.mark.parametrize("page", ["Room", "EachTab", "AsyncTwins"])
async def test_the_count_is_the_same_when_the_socket_opens(page: str, cookies: bool) -> None:
    async with Visitor("grace").opens("/Room/a/") as grace:
        await somebody_is_stored()
        visitor = Visitor(cookies=cookies)
        assert count(await visitor.get(f"/{page}/a/")) == 2
        async with visitor.socket(f"/{page}/a/") as socket:
            await socket.until("2 here")
            await grace.until("2 here")
            assert {count(one["regions"]["*"]) for one in socket.frames if "regions" in one} == {2}


@pytest.mark.parametrize("page", ["Room", "EachTab", "Async"])
async def test_nobody_without_a_session_reads_that_nobody_is_here(page: str, settings: Settings) -> None:
    without = ("sessions", "auth", "messages")
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if not any(app in one for app in without)]
    assert count(await Visitor().get(f"/{page}/a/")) == 1


@pytest.mark.parametrize("room", ["nothing", "watched", "left"])
async def test_without_tracking_there_is_nothing_to_update_on_either_side(room: str) -> None:
    said = "There is nothing to update: call track_presence() first."
    ada = Visitor("ada")
    assert said in await ada.get(f"/Nothing/{room}/")
    async with ada.socket(f"/Nothing/{room}/") as page:
        await page.until(said)
        assert (await page.call("paint"))["code"] == "failed"


def test_a_meta_that_cannot_be_stored_is_refused_over_http_as_well() -> None:
    request: Any = RequestFactory().get("/")
    request.user, request.session = AnonymousUser(), {}
    view = Room()
    view.setup(request, room="a")
    view.track_presence({"color": "red"})
    with pytest.raises(ValueError, match="'color'"):
        view.update_presence(color=object())
    assert view.list_presences()[0]["color"] == "red"


@contextmanager
def reads(client: Any) -> Iterator[list[str]]:
    """The commands that reach Redis inside the block."""
    found: list[str] = []
    with monitored(client) as commands:
        yield found
        found += [one["command"].split()[0] for one in commands() if one["client_type"] != "lua"]


async def test_a_page_over_http_reads_once_for_the_count_and_once_for_the_list_and_writes_nothing(
    settings: Settings, redis_settings: dict[str, Any]
) -> None:
    for name, value in redis_settings.items():
        setattr(settings, name, value)
    ada = Visitor("ada")
    await ada.get("/Room/a/")
    with redis.Redis.from_url(redis_settings["DJUST_PRESENCE"]["LOCATION"], decode_responses=True) as client:
        for page in ("Room", "Updated", "Async"):
            with reads(client) as commands:
                await ada.get(f"/{page}/a/")
            assert commands == ["HLEN", "HMGET", "EVALSHA"]
        with reads(client) as commands:
            await ada.get("/Watching/a/")
        assert commands == ["HLEN", "EVALSHA"]


async def test_the_reader_is_counted_while_the_store_does_not_answer(settings: Settings) -> None:
    settings.DJUST_PRESENCE = {"BACKEND": "redis", "LOCATION": f"redis://127.0.0.1:{free_port()}/0"}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    for page in ("Room", "Counting", "Async", "AsyncTwins"):
        assert f"1 here: {ADA}" in await Visitor("ada").get(f"/{page}/a/")
