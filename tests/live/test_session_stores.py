"""Session stores that are made of more than a key: what their middleware gives them stays when a live page writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib.sessions.backends.cache import SessionStore as CacheStore
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.urls import path
from pytest_django import Settings

from tests.live.conftest import Socket

from .test_access import close_code, cookies
from .test_sessions import Page, greet

pytestmark = pytest.mark.django_db(transaction=True)

AGENT, ADDRESS, ELSEWHERE = "Lynx/2.9", "192.0.2.7", "198.51.100.9"
MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"


class SessionStore(DatabaseStore):
    """Keeps in the session where its user is, which it has to be told."""

    def __init__(self, session_key: str | None, *, agent: str, notes: dict[str, str]) -> None:
        super().__init__(session_key)
        self.agent, self.notes = agent, notes
        self.address = ""

    def save(self, must_create: bool = False) -> None:
        self["place"] = f"{self.agent} at {self.address}"
        super().save(must_create)

    async def asave(self, must_create: bool = False) -> None:
        await self.aset("place", f"{self.agent} at {self.address}")
        await super().asave(must_create)


class OwnMiddleware(SessionMiddleware):
    def process_request(self, request: HttpRequest) -> None:
        key = request.COOKIES.get(django_settings.SESSION_COOKIE_NAME)
        store = SessionStore(key, agent=request.headers["user-agent"], notes={})
        request.session = store
        store.address = request.META["REMOTE_ADDR"]


class InItsOwnCache(CacheStore):
    def __init__(self, session_key: str | None, address: str) -> None:
        super().__init__(session_key)
        self._cache = caches["sessions"]


class LoadsItself(InItsOwnCache):
    def load(self) -> Any:
        return super().load()


class InNoCacheOfDjangos(LoadsItself):
    """Makes its cache itself, so that there is no alias of it."""

    cache: ClassVar[BaseCache] = LocMemCache("apart", {})

    def __init__(self, session_key: str | None, address: str) -> None:
        super().__init__(session_key, address)
        self._cache = self.cache


class Bound(DatabaseStore):
    """Is no session for those who come from another address than the one where it began."""

    def __init__(self, session_key: str | None, address: str) -> None:
        super().__init__(session_key)
        self.address = address

    def load(self) -> Any:
        data = super().load()
        if data.get("address", self.address) == self.address:
            return data
        self._session_key = None
        return {}

    def save(self, must_create: bool = False) -> None:
        self["address"] = self.address
        super().save(must_create)


class Tenant(CacheStore):
    """Of each tenant, who is known by their address, in a cache of their own."""

    def __init__(self, session_key: str | None, address: str) -> None:
        super().__init__(session_key)
        self._cache = caches[address]


class AddressMiddleware(SessionMiddleware):
    store: ClassVar[Any]

    def process_request(self, request: HttpRequest) -> None:
        key = request.COOKIES.get(django_settings.SESSION_COOKIE_NAME)
        request.session = self.store(key, request.META["REMOTE_ADDR"])


urlpatterns = [path("page/", Page.as_view()), path("greet/", greet)]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__


@pytest.fixture(params=["db", "cached_db"])
def qsessions(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Any]:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "qsessions"]
    settings.SESSION_ENGINE = f"qsessions.backends.{request.param}"
    settings.MIDDLEWARE = [
        "qsessions.middleware.SessionMiddleware" if one == MIDDLEWARE else one for one in settings.MIDDLEWARE
    ]
    from qsessions.models import Session

    with connection.schema_editor() as editor:
        editor.create_model(Session)
    yield Session
    with connection.schema_editor() as editor:
        editor.delete_model(Session)


@pytest.fixture
def own_store(settings: Settings) -> None:
    settings.SESSION_ENGINE = __name__
    settings.MIDDLEWARE = [
        f"{__name__}.OwnMiddleware" if one == MIDDLEWARE else one for one in settings.MIDDLEWARE
    ]


@pytest.fixture
def by_address(request: pytest.FixtureRequest, settings: Settings) -> None:
    AddressMiddleware.store = request.param
    settings.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0.1}
    settings.MIDDLEWARE = [
        f"{__name__}.AddressMiddleware" if one == MIDDLEWARE else one for one in settings.MIDDLEWARE
    ]
    locmem = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {
        alias: {"BACKEND": locmem, "LOCATION": alias} for alias in ("default", "sessions", ADDRESS, ELSEWHERE)
    }


async def opened(address: str = ADDRESS) -> tuple[Client, Socket]:
    """A browser with a session, and the socket of its page."""
    client = Client(headers={"user-agent": AGENT}, REMOTE_ADDR=address)
    await sync_to_async(client.get)("/greet/")
    await sync_to_async(client.get)("/page/")
    socket = Socket("/page/", cookies(client), (b"user-agent", AGENT.encode()), client=[address, 1])
    assert (await socket.connect(timeout=5))[0]
    assert (await socket.frame())["type"] == "ready"
    await socket.frame()
    return client, socket


async def painted(handler: str, **params: str) -> tuple[Client, list[dict[str, Any]]]:
    """A browser, a handler of whose page has written into the session; and the frames that were answered."""
    client, socket = await opened()
    frames = await socket.call(1, handler, **params) + await socket.call(2, "nothing")
    await socket.disconnect()
    return client, frames


handlers = pytest.mark.parametrize("handler", ["paint", "apaint"])


@handlers
async def test_the_address_and_the_browser_stay_when_a_handler_writes(handler: str, qsessions: Any) -> None:
    client, frames = await painted(handler, color="blue")
    row: Any = await qsessions.objects.aget()
    assert row.session_key == client.cookies["sessionid"].value
    assert (row.user_agent, row.ip) == (AGENT, ADDRESS)
    assert "blue" in frames[0]["regions"]["*"]
    assert row.get_decoded()["color"] == "blue"


@handlers
async def test_a_store_is_never_made_without_what_its_middleware_gives(handler: str, own_store: None) -> None:
    client, frames = await painted(handler, color="blue")
    assert "blue" in frames[0]["regions"]["*"]
    data = await DatabaseStore(client.cookies["sessionid"].value).aload()
    assert (data["color"], data["place"]) == ("blue", f"{AGENT} at {ADDRESS}")


async def test_such_a_session_is_checked_again_while_the_page_is_open(
    own_store: None, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0.1}
    client, socket = await opened()
    assert await socket.receive_nothing(timeout=0.5)
    assert not caplog.records
    await DatabaseStore(client.cookies["sessionid"].value).adelete()
    assert await close_code(socket) == 4401


@pytest.mark.parametrize("by_address", [InItsOwnCache, LoadsItself, InNoCacheOfDjangos], indirect=True)
async def test_a_store_reads_its_own_cache_whatever_the_setting_says(by_address: None) -> None:
    client, socket = await opened()
    frames = await socket.call(1, "paint", color="blue")
    assert "blue" in frames[0]["regions"]["*"]
    assert await socket.receive_nothing(timeout=0.5)  # while its access is checked
    stored = AddressMiddleware.store(client.cookies["sessionid"].value, ADDRESS)
    assert stored["color"] == "blue"
    await sync_to_async(stored.delete)()
    assert await close_code(socket) == 4401


@pytest.mark.parametrize("by_address", [Bound, Tenant], indirect=True)
async def test_the_session_of_one_visitor_is_checked_with_nothing_of_another_s(by_address: None) -> None:
    client, ada = await opened()
    other, grace = await opened(ELSEWHERE)
    assert await ada.receive_nothing(timeout=0.5)  # while their access is checked
    assert await grace.receive_nothing(timeout=0.01)
    await AddressMiddleware.store(client.cookies["sessionid"].value, ADDRESS).adelete()
    assert await close_code(ada) == 4401
    assert await grace.receive_nothing(timeout=0.5)
    await AddressMiddleware.store(other.cookies["sessionid"].value, ELSEWHERE).adelete()
    assert await close_code(grace) == 4401


async def test_writes_of_middleware_before_the_view_are_saved_as_over_http(settings: Settings) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.note_way"]
    client, _ = await painted("nothing")
    assert (await DatabaseStore(client.cookies["sessionid"].value).aload())["way"] == ["GET", "GET", "socket"]


def note_way(get_response: Any) -> Any:
    def middleware(request: HttpRequest) -> Any:
        way = request.session.get("way", [])
        request.session["way"] = [*way, "socket" if hasattr(request, "connection") else request.method]
        return get_response(request)

    return middleware
