"""The identity that others see of visitors who are not logged in, on any page and with any session."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import path
from pytest_django import Settings

from djust_presence import LiveView, PresenceMixin, event_handler
from djust_presence import presence as facade
from djust_presence.hosts.sessions import mark_of
from djust_presence.identity import VISITOR
from djust_presence.testing import presence
from tests.pages import Visitor, site
from tests.until import until_equal

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]

ENGINES = ["db", "cache", "cached_db", "file", "signed_cookies"]


class Room(PresenceMixin, LiveView):
    template_name = "room.html"
    presence_key = "room"

    def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        self.track_presence()


class Later(Room):
    """Is tracked by an event, in async code, where nothing may block."""

    def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        self.watch_presence()

    @event_handler()
    async def come(self) -> None:
        self.track_presence()
        self.push_event("id", self.get_presence_user_id())


class EachTab(Later):
    def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        self.presence_unique_per_connection = True
        self.watch_presence()


def shop(request: HttpRequest) -> HttpResponse:
    request.session["basket"] = 1
    return HttpResponse()


urlpatterns = [
    path("room/", Room.as_view()),
    path("later/", Later.as_view()),
    path("each-tab/", EachTab.as_view()),
    path("shop/", shop),
]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> str:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    return str(request.param)


@pytest.fixture(autouse=True)
async def nothing_is_left(settings: Settings) -> AsyncIterator[None]:
    for name, value in site({"room.html": "{{ online_count }} here"}).items():
        setattr(settings, name, value)
    settings.DJUST_PRESENCE = {"GRACE": 0.05, "REFRESH_INTERVAL": 0.01}
    async with presence():
        yield


async def stored(count: int, connections: int = 1) -> list[str]:
    """Return the ids that are present, once there are so many with so many connections each."""

    async def here() -> list[int]:
        return [one["connections"] for one in await facade.alist("room")]

    await until_equal(here, [connections] * count, 5)
    return [one["id"] for one in await facade.alist("room")]


async def test_a_session_that_was_there_already_is_who_its_tabs_are(engine: str) -> None:
    visitor, other = Visitor(), Visitor()
    for browser in (visitor, other):
        await browser.get("/shop/")
    key = visitor.client.cookies["sessionid"].value
    async with visitor.opens("/room/") as one, visitor.opens("/room/") as two:
        (id,) = await stored(1, connections=2)
        async with other.opens("/later/") as three:
            await three.call("come")
            assert three.pushed("id") not in ([], [id])
    async with visitor.opens("/room/"):
        assert await stored(1) == [id]
    assert id.startswith("anon_")
    assert not id.startswith("anon_conn_")
    if engine == "signed_cookies":
        return  # whose key is what is in it
    assert visitor.client.cookies["sessionid"].value == key
    assert key not in id + str(one.frames + two.frames)
    assert id.removeprefix("anon_") not in mark_of(key)
    store = importlib.import_module(django_settings.SESSION_ENGINE).SessionStore(key)
    assert await sync_to_async(store.get)(VISITOR) is None


@pytest.mark.parametrize("before", ["/shop/", "/room/"])
async def test_a_visitor_tracked_first_by_async_code_is_the_same(engine: str, before: str) -> None:
    visitor = Visitor()
    await visitor.get(before)
    async with visitor.opens("/room/"):
        (id,) = await stored(1)
        async with visitor.opens("/later/") as page:
            await page.call("come")
            assert page.pushed("id") == [id]
            await stored(1, connections=2)


async def test_a_view_may_still_say_in_mount_that_its_tabs_count_apart() -> None:
    visitor = Visitor()
    await visitor.get("/shop/")
    async with visitor.opens("/each-tab/") as one, visitor.opens("/each-tab/") as two:
        for page in (one, two):
            await page.call("come")
            assert page.pushed("id")[0].startswith("anon_conn_")
        await stored(2)


def test_a_session_without_a_key_may_be_any_dictionary() -> None:
    request: Any = RequestFactory().get("/")
    request.user, request.session = AnonymousUser(), {}
    view = Room()
    view.setup(request)
    assert view.get_presence_user_id() == view.get_presence_user_id() == f"anon_{request.session[VISITOR]}"
