from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session as SessionRow
from django.core.cache.backends.base import BaseCache
from django.db import transaction
from django.http import HttpRequest
from django.template import engines
from django.template.response import TemplateResponse
from django.test import Client
from django.urls import path
from pytest_django import Settings

from djust_presence import PresenceMixin
from djust_presence.events import event_handler
from djust_presence.live import LiveView
from tests.live.conftest import Socket
from tests.until import until, until_equal

from .test_access import ENGINES, close_code, cookies

pytestmark = pytest.mark.django_db(transaction=True)

STORED = ["db", "cached_db", "cache", "file"]


class Page(LiveView):
    """Shows its session and its messages."""

    response_class = TemplateResponse

    def get_template_names(self) -> Any:
        return engines["django"].from_string(
            "{% for message in messages %}[{{ message.tags }} {{ message }}]{% endfor %}"
            "{{ request.session.color }} {{ note }}"
        )

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.note = ""

    @event_handler()
    def paint(self, color: str) -> None:
        self.request.session["color"] = color

    @event_handler()
    async def apaint(self, color: str) -> None:
        await self.request.session.aset("color", color)

    @event_handler()
    def fail(self) -> None:
        self.request.session["color"] = "failed"
        messages.info(self.request, "failed")
        raise RuntimeError("after a change")

    @event_handler()
    def say(self, text: str) -> None:
        messages.success(self.request, text)

    @event_handler()
    def look(self) -> None:
        self.note = str(self.request.session.get("color"))

    @event_handler()
    def nothing(self) -> None: ...

    @event_handler()
    def log_out(self) -> None:
        logout(self.request)

    @event_handler()
    def log_in(self) -> None:
        login(self.request, get_user_model().objects.get())

    @event_handler()
    def insert(self, fail: bool = False) -> None:
        self.note = str(transaction.get_connection().in_atomic_block)
        Group.objects.create(name="made")
        if fail:
            raise RuntimeError("after an insert")


class Silent(Page):
    """Shows no messages."""

    def get_template_names(self) -> Any:
        return engines["django"].from_string("{{ note }}")


class Eager(Page):
    """Wants a session wherever it is mounted."""

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        super().mount(request)
        request.session["visited"] = True
        if request.session.session_key is None:
            request.session.create()


tenant: ContextVar[str] = ContextVar("tenant", default="none")


class Tenant(Page):
    seen: ClassVar[list[str]] = []

    @contextmanager
    def live_context(self) -> Iterator[None]:
        token = tenant.set("acme")
        try:
            yield
        finally:
            tenant.reset(token)

    @event_handler()
    def look(self) -> None:
        self.seen.append(f"handler {tenant.get()}")

    @event_handler()
    async def alook(self) -> None:
        self.seen.append(f"async handler {tenant.get()}")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        self.seen.append(f"rendering {tenant.get()}")
        return super().get_context_data(**kwargs)

    def still_allowed(self, user: Any) -> bool:
        self.seen.append(f"check {tenant.get()}")
        return True


class Here(PresenceMixin, Page):
    presence_key = "here"
    presence_unique_per_connection = True

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        super().mount(request)
        self.track_presence()

    def get_template_names(self) -> Any:
        return engines["django"].from_string("{{ online_count }} online")


class Broken(Here):
    def live_context(self) -> Any:
        raise RuntimeError("no context")


def greet(request: HttpRequest) -> Any:
    from django.http import HttpResponse

    messages.info(request, "welcome")
    request.session["color"] = "red"
    return HttpResponse()


urlpatterns = [
    path("page/", Page.as_view()),
    path("silent/", Silent.as_view()),
    path("eager/", Eager.as_view()),
    path("tenant/", Tenant.as_view()),
    path("here/", Here.as_view()),
    path("broken/", Broken.as_view()),
    path("exempt/", transaction.non_atomic_requests(Page.as_view())),
    path("greet/", greet),
]


@pytest.fixture(autouse=True)
def site(settings: Settings, tmp_path: Any) -> None:
    settings.ROOT_URLCONF = __name__
    settings.SESSION_FILE_PATH = str(tmp_path)
    Tenant.seen.clear()


@pytest.fixture(params=STORED)
def engine(request: pytest.FixtureRequest, settings: Settings) -> str:
    settings.SESSION_ENGINE = ENGINES[request.param]
    name: str = request.param
    return name


async def opened(client: Client, url: str) -> tuple[Socket, str]:
    """The page of *client*, live, and what it shows at first."""
    response = await sync_to_async(client.get)(url)
    assert response.status_code == 200
    socket = Socket(url, cookies(client))
    assert (await socket.connect(timeout=5))[0]
    await socket.frame()
    return socket, (await socket.frame())["regions"]["*"]


async def shows(socket: Socket, name: str, **params: Any) -> str:
    """Return what the page shows after an event that changes it."""
    render, ack = await socket.call(1, name, **params)
    assert ack == {"type": "ack", "ref": 1}
    html = render["regions"]["*"]
    assert isinstance(html, str)
    return html.strip()


# Sessions


@pytest.mark.parametrize("handler", ["paint", "apaint"])
async def test_changes_of_an_event_are_saved(handler: str, engine: str) -> None:
    client = Client()
    await sync_to_async(client.get)("/greet/")
    socket, _ = await opened(client, "/page/")
    assert await shows(socket, handler, color="blue") == "blue"
    await socket.disconnect()
    assert (await sync_to_async(lambda: dict(client.session.items()))())["color"] == "blue"


async def test_an_event_sees_what_other_tabs_have_done_and_undoes_nothing(engine: str) -> None:
    client = Client()
    await sync_to_async(client.get)("/greet/")
    socket, _ = await opened(client, "/page/")

    def elsewhere() -> None:
        session = client.session
        session["color"], session["size"] = "green", 7
        session.save()

    await sync_to_async(elsewhere)()
    assert await shows(socket, "look") == "green green"
    await shows(socket, "paint", color="blue")
    assert await sync_to_async(lambda: client.session["size"])() == 7
    await socket.disconnect()


async def test_changes_of_a_failed_event_are_dropped(caplog: pytest.LogCaptureFixture) -> None:
    client = Client()
    await sync_to_async(client.get)("/greet/")
    socket, _ = await opened(client, "/page/")
    await socket.call(1, "fail")
    await socket.disconnect()
    assert await sync_to_async(lambda: client.session["color"])() == "red"


async def test_no_session_begins_on_a_socket(engine: str) -> None:
    for url in ("/eager/", "/page/"):
        socket = Socket(url)
        assert (await socket.connect(timeout=5))[0]
        await socket.frame(), await socket.frame()
        await socket.call(1, "paint", color="blue")
        await socket.call(2, "say", text="hello")
        await socket.disconnect()
    assert await SessionRow.objects.acount() == 0


async def test_a_session_that_a_cookie_names_in_vain_does_not_begin_either(engine: str) -> None:
    client = Client()
    client.cookies["sessionid"] = "a" * 32
    socket = Socket("/eager/", cookies(client))
    assert (await socket.connect(timeout=5))[0]
    assert (await socket.frame())["type"] == "ready"
    await socket.frame()
    await socket.disconnect()
    assert await SessionRow.objects.acount() == 0


async def test_an_event_that_finds_its_session_gone_reloads_the_page(engine: str) -> None:
    client = Client()
    await sync_to_async(client.get)("/greet/")
    socket, _ = await opened(client, "/page/")
    await sync_to_async(client.session.delete)()
    await socket.send_event(1, "look")
    assert await close_code(socket) == 4401


async def test_a_handler_may_log_out_and_not_log_in(caplog: pytest.LogCaptureFixture) -> None:
    user = await get_user_model().objects.acreate_user("ada")
    client = Client()
    await sync_to_async(client.get)("/greet/")
    socket, _ = await opened(client, "/page/")
    *_, error = await socket.call(1, "log_in")
    assert error["code"] == "failed"
    assert "log in in an ordinary view" in caplog.text
    await socket.disconnect()

    await sync_to_async(client.force_login)(user)
    socket, _ = await opened(client, "/page/")
    await socket.send_event(1, "log_out")
    assert await close_code(socket) == 4401
    # The socket is closed by Django's signal, before the session is gone.
    await until_equal(SessionRow.objects.acount, 0)


async def test_a_signed_cookie_cannot_be_changed_and_the_log_says_so(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SESSION_ENGINE = ENGINES["signed_cookies"]
    client = Client()
    await sync_to_async(client.get)("/greet/")
    socket, html = await opened(client, "/page/")
    assert html.strip().endswith("red")
    await socket.call(1, "paint", color="blue")
    assert "signed_cookies" in caplog.text
    await socket.disconnect()


async def test_a_spoilt_signed_cookie_is_no_session(settings: Settings) -> None:
    settings.SESSION_ENGINE = ENGINES["signed_cookies"]
    client = Client()
    client.cookies["sessionid"] = "spoilt"
    socket = Socket("/eager/", cookies(client))
    assert (await socket.connect(timeout=5))[0]
    assert (await socket.frame())["type"] == "ready"
    await socket.disconnect()


async def test_a_live_page_keeps_no_session_open(settings: Settings) -> None:
    """One in a cache would keep a connection to it for as long as the page is open."""
    settings.SESSION_ENGINE = ENGINES["cache"]
    client = Client()
    await sync_to_async(client.get)("/greet/")
    socket, _ = await opened(client, "/page/")
    from djust_presence.tracker import get_tracker

    (session,) = get_tracker().sessions
    assert session.owner.request.opened_session is None
    assert "_cache" in session.owner.visitor.made
    assert not any(isinstance(value, BaseCache) for value in session.owner.visitor.made.values())
    await socket.call(1, "paint", color="blue")
    assert session.owner.request.opened_session is None
    await socket.disconnect()


# Messages


async def test_a_message_shown_by_the_page_is_there_until_the_next_event(engine: str) -> None:
    client = Client()
    await sync_to_async(client.get)("/greet/")
    socket, html = await opened(client, "/page/")
    assert "[info welcome]" in html
    assert await shows(socket, "look") == "red red"
    await socket.disconnect()
    _, html = await opened(client, "/page/")
    assert "welcome" not in html


async def test_a_message_of_a_handler_is_shown_once() -> None:
    client = Client()
    await sync_to_async(client.get)("/greet/")
    socket, _ = await opened(client, "/page/")
    assert await shows(socket, "say", text="saved") == "[success saved]red"
    assert await shows(socket, "nothing") == "red"
    await socket.disconnect()
    _, html = await opened(client, "/page/")
    assert "saved" not in html


@pytest.mark.parametrize("storage", ["fallback.FallbackStorage", "session.SessionStorage"])
async def test_a_message_that_the_page_does_not_show_waits_for_the_next_page(
    storage: str, settings: Settings
) -> None:
    settings.MESSAGE_STORAGE = f"django.contrib.messages.storage.{storage}"
    client = Client()
    await sync_to_async(client.get)("/greet/")
    await sync_to_async(client.get)("/page/")
    socket, _ = await opened(client, "/silent/")
    await socket.call(1, "say", text="saved")
    await socket.call(2, "nothing")
    await socket.disconnect()
    assert b"[success saved]" in (await sync_to_async(client.get)("/page/")).content
    assert b"saved" not in (await sync_to_async(client.get)("/page/")).content


async def test_a_visitor_without_a_session_sees_messages_too() -> None:
    socket = Socket("/page/")
    assert (await socket.connect(timeout=5))[0]
    await socket.frame(), await socket.frame()
    assert await shows(socket, "say", text="hello") == "[success hello]"
    await socket.disconnect()


# Transactions and contexts


@pytest.mark.parametrize(("url", "atomic"), [("/page/", True), ("/exempt/", False)])
async def test_handlers_run_in_a_transaction_where_views_do(url: str, atomic: bool) -> None:
    from django.db import connections

    connections.settings["default"]["ATOMIC_REQUESTS"] = True
    try:
        socket, _ = await opened(Client(), url)
        render, _ = await socket.call(1, "insert", fail=True)
        assert str(atomic) in render["regions"]["*"]
        assert await Group.objects.acount() == (0 if atomic else 1)
        await Group.objects.all().adelete()
        await socket.call(2, "insert")
        assert await Group.objects.acount() == 1
        await socket.disconnect()
    finally:
        connections.settings["default"]["ATOMIC_REQUESTS"] = False


async def test_a_projects_own_context_surrounds_all_that_runs(settings: Settings) -> None:
    settings.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0.2}
    socket, _ = await opened(Client(), "/tenant/")
    Tenant.seen.clear()
    await socket.call(1, "look")
    await socket.call(2, "alook")
    await until(lambda: "check acme" in Tenant.seen)
    await socket.disconnect()
    assert {"handler acme", "async handler acme", "rendering acme"} <= set(Tenant.seen)
    assert not [line for line in Tenant.seen if line.endswith("none")]


async def test_a_context_that_fails_costs_only_its_own_page(caplog: pytest.LogCaptureFixture) -> None:
    broken, _ = await opened(Client(), "/broken/")
    here, _ = await opened(Client(), "/here/")
    another, _ = await opened(Client(), "/here/")
    while "3 online" not in str(await here.frame()):
        pass
    error = (await broken.call(1, "nothing"))[-1]
    assert (error["type"], error["code"]) == ("error", "failed")
    assert "no context" in caplog.text
    for socket in (broken, here, another):
        await socket.disconnect()
