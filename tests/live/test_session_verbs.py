"""Each verb of a Django session, called by a handler on a socket, sync and async: none costs the visitor their session."""

from __future__ import annotations

import inspect
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib.auth import (
    HASH_SESSION_KEY,
    alogin,
    alogout,
    aupdate_session_auth_hash,
    get_user_model,
    login,
    logout,
    update_session_auth_hash,
)
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session as SessionRow
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import Client
from django.urls import path
from pytest_django import Settings

from djust_presence.events import event_handler
from djust_presence.hosts.sessions import SocketSession
from djust_presence.live import LiveView
from tests.live.conftest import Socket

from .test_access import ENGINES, close_code, cookies

pytestmark = pytest.mark.django_db(transaction=True)

# Each verb that has a twin, with arguments. A verb of a later Django that is in none of these fails a test.
HARMLESS: dict[str, tuple[Any, ...]] = {
    "exists": ("a" * 32,),
    "get": ("basket",),
    "get_expire_at_browser_close": (),
    "get_expiry_age": (),
    "get_expiry_date": (),
    "has_key": ("basket",),
    "items": (),
    "keys": (),
    "load": (),
    "save": (),
    "set": ("color", "red"),  # whose twin is session["color"] = "red"
    "set_expiry": (timedelta(days=1),),
    "set_test_cookie": (),
    "setdefault": ("color", "red"),
    "test_cookie_worked": (),
    "delete_test_cookie": (),
    "update": ({"color": "red"},),
    "values": (),
    "pop": ("color",),
}
GUARDED: dict[str, tuple[Any, ...]] = {"create": (), "cycle_key": ()}
ENDING: dict[str, tuple[Any, ...]] = {"delete": (), "flush": ()}
OF_THE_CLASS = {"clear_expired"}
VERBS = {**HARMLESS, **GUARDED}


def log_in(request: HttpRequest) -> HttpResponse:
    login(request, get_user_model().objects.get(username=request.GET["name"]))
    request.session["basket"] = 1
    return HttpResponse()


class Page(LiveView):
    def get_template_names(self) -> Any:
        return engines["django"].from_string("{{ request.session.basket }} {{ note }}")

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.note = ""

    @event_handler()
    def verb(self, verb: str) -> None:
        self.request.session.get("basket")
        if verb == "set":
            self.request.session["color"] = "red"
        else:
            getattr(self.request.session, verb)(*{**VERBS, **ENDING}[verb])

    @event_handler()
    async def averb(self, verb: str) -> None:
        await self.request.session.aget("basket")
        await getattr(self.request.session, f"a{verb}")(*{**VERBS, **ENDING}[verb])

    @event_handler()
    def unread(self, verb: str) -> None:
        getattr(self.request.session, verb)()

    @event_handler()
    def log(self, how: str, who: str = "ada", catch: bool = False) -> None:
        user = get_user_model().objects.get(username=who)
        try:
            if how == "in":
                login(self.request, user, "django.contrib.auth.backends.ModelBackend")
            elif how == "hash":
                update_session_auth_hash(self.request, user)
            else:
                logout(self.request)
                if how == "failing":
                    raise RuntimeError("after the log-out")
        except Exception:
            if not catch:
                raise
            self.note = f"caught {self.request.session.get('basket')}"

    @event_handler()
    async def alog(self, how: str, who: str = "ada", catch: bool = False) -> None:
        user = await get_user_model().objects.aget(username=who)
        try:
            if how == "in":
                await alogin(self.request, user, "django.contrib.auth.backends.ModelBackend")
            elif how == "hash":
                await aupdate_session_auth_hash(self.request, user)
            else:
                await alogout(self.request)
                if how == "failing":
                    raise RuntimeError("after the log-out")
        except Exception:
            if not catch:
                raise
            self.note = f"caught {await self.request.session.aget('basket')}"


urlpatterns = [path("page/", Page.as_view()), path("log-in/", log_in)]
both = pytest.mark.parametrize("a", ["", "a"], ids=["sync", "async"])


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__


@pytest.fixture(params=["db", "cached_db", "cache", "file"])
def engine(request: pytest.FixtureRequest, settings: Settings, tmp_path: Any) -> str:
    settings.SESSION_ENGINE = ENGINES[request.param]
    settings.SESSION_FILE_PATH = str(tmp_path)
    return str(request.param)


async def customer() -> Client:
    """Somebody who is logged in, as one of two, and has put something into their basket."""
    for name in ("ada", "grace"):
        await get_user_model().objects.acreate_user(name)
    client = Client()
    await sync_to_async(client.get)("/log-in/?name=ada")
    return client


async def opened(client: Client) -> Socket:
    await sync_to_async(client.get)("/page/")
    socket = Socket("/page/", cookies(client))
    assert (await socket.connect(timeout=5))[0]
    assert (await socket.frame())["type"] == "ready"
    await socket.frame()
    return socket


async def stored(client: Client) -> dict[str, Any]:
    """Return the content of the session that the browser's cookie names; empty without one."""
    store = import_module(django_settings.SESSION_ENGINE).SessionStore(client.cookies["sessionid"].value)
    return await sync_to_async(lambda: dict(store.items()))()


def test_each_verb_that_is_guarded_is_so_in_both_its_forms() -> None:
    twins = {name for name in dir(SessionBase) if hasattr(SessionBase, f"a{name}")}
    asynchronous = {
        name
        for name in dir(SessionBase)
        if inspect.iscoroutinefunction(getattr(SessionBase, name)) and name[0] == "a"
    }
    assert {f"a{name}" for name in twins} | {"aset"} == asynchronous
    known = set(VERBS) | set(ENDING) | OF_THE_CLASS
    assert known == twins | {"set"}, "Django's sessions have other verbs: may they run on a socket?"
    for name in twins:
        assert (name in vars(SocketSession)) == (f"a{name}" in vars(SocketSession)), name
    assert ("__setitem__" in vars(SocketSession)) == ("aset" in vars(SocketSession))


@both
async def test_no_verb_takes_the_visitors_session_away(a: str, engine: str) -> None:
    client = await customer()
    before, socket = await stored(client), await opened(client)
    rows = await SessionRow.objects.acount()
    for ref, name in enumerate(VERBS):
        answer = (await socket.call(ref, f"{a}verb", verb=name))[-1]
        assert answer["type"] == ("error" if name in GUARDED else "ack"), (name, answer)
        assert before.items() <= (await stored(client)).items(), name
    assert await SessionRow.objects.acount() == rows
    await socket.disconnect()


@pytest.mark.parametrize("verb", GUARDED)
async def test_a_session_that_no_one_has_looked_at_is_not_lost_either(verb: str, engine: str) -> None:
    client = await customer()
    before, socket = await stored(client), await opened(client)
    await socket.send_event(1, "unread", verb=verb)
    while (message := await socket.receive_output(timeout=5))["type"] != "websocket.close":
        if '"error"' in message["text"]:
            break  # or the page reloads
    assert await stored(client) == before


@both
@pytest.mark.parametrize("how", ["in", "hash"])
@pytest.mark.parametrize("name", ["ada", "grace"])
async def test_nobody_is_logged_in_on_a_socket_and_nothing_is_lost_by_it(
    how: str, name: str, a: str, engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = await customer()
    before, socket = await stored(client), await opened(client)
    answer = (await socket.call(1, f"{a}log", how=how, who=name))[-1]
    if (how, name) == ("in", "ada"):  # who is logged in already: Django leaves the key as it is
        assert answer["type"] == "ack"
    elif (how, name) == ("hash", "grace"):
        assert answer["type"] == "error"
    else:
        assert answer["code"] == "failed"
        assert "log in in an ordinary view" in caplog.text
    assert await stored(client) == before
    frames = await socket.call(2, f"{a}log", how="in", who="grace", catch=True)
    assert "1 caught 1" in frames[0]["regions"]["*"]
    assert await stored(client) == before
    await socket.disconnect()


@both
@pytest.mark.parametrize("how", ["out", "failing"])
async def test_a_log_out_ends_the_session_even_if_the_handler_fails_afterwards(
    how: str, a: str, engine: str
) -> None:
    client = await customer()
    socket, other = await opened(client), await opened(client)
    await socket.send_event(1, f"{a}log", how=how)
    assert [await close_code(socket), await close_code(other)] == [4401, 4401]
    assert await stored(client) == {}


@both
@pytest.mark.parametrize("name", ENDING)
async def test_an_explicit_end_of_the_session_is_one(name: str, a: str, engine: str) -> None:
    client = await customer()
    socket = await opened(client)
    await socket.send_event(1, f"{a}verb", verb=name)
    await socket.send_event(2, "verb", verb="get")
    assert await close_code(socket) == 4401
    assert await stored(client) == {}


@both
async def test_a_signed_cookie_cannot_be_ended_and_the_log_says_so(
    a: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SESSION_ENGINE = ENGINES["signed_cookies"]
    client = await customer()
    socket = await opened(client)
    for ref, (name, params) in enumerate([("log", {"how": "out"}), ("verb", {"verb": "flush"})]):
        assert (await socket.call(ref, a + name, **params))[-1]["code"] == "failed"
    assert caplog.text.count("log out in an ordinary view") == 2
    await socket.disconnect()


@pytest.mark.parametrize("demands", [True, False], ids=["by middleware", "by nobody"])
async def test_a_changed_secret_key_costs_no_session_when_a_page_comes_back(
    demands: bool, engine: str, settings: Settings
) -> None:
    """Django then gives the session another key, for which a socket could set no cookie."""
    client = await customer()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another one"
    if demands:
        settings.MIDDLEWARE = [
            *settings.MIDDLEWARE,
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
        ]
    before = await stored(client)
    socket = Socket("/page/", cookies(client))
    assert (await socket.connect(timeout=5))[0]
    assert (await socket.frame())["type"] == "ready"
    await socket.disconnect()
    after = await stored(client)
    assert after.pop(HASH_SESSION_KEY) != before.pop(HASH_SESSION_KEY)
    assert after == before
