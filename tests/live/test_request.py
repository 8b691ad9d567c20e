from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from copy import copy
from typing import Any, ClassVar

import pytest
from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.utils.decorators import async_only_middleware
from pytest_django import Settings

from djust_presence.hosts.access import Visitor
from djust_presence.hosts.middleware import LiveHandler
from djust_presence.hosts.request import build_request, origin_allowed, respond
from djust_presence.hosts.sessions import release_messages
from djust_presence.hosts.turns import Sender
from djust_presence.live.host import live_host
from djust_presence.live.page import LivePage
from djust_presence.tracker import get_tracker, in_loop
from tests.until import until

from .conftest import Socket, live
from .test_consumer import started


def request_for(path: str = "/document/42/?a=b", *headers: tuple[bytes, bytes], **scope: Any) -> Any:
    socket = Socket(path)
    merged = {**socket.scope, **scope}
    if headers:
        merged["headers"] = list(headers)
    connection: Any = get_tracker().connect(live_host, None) if in_loop() else None
    return build_request(merged, connection)


# From the scope to the request


def test_it_is_the_get_request_of_the_page() -> None:
    request = request_for()
    assert (request.method, request.path, request.path_info) == ("GET", "/document/42/", "/document/42/")
    assert request.GET.dict() == {"a": "b"}
    assert request.body == b""
    assert request.get_host() == "testserver"
    assert request.build_absolute_uri() == "http://testserver/document/42/?a=b"


def test_a_copy_has_the_same_session_and_messages() -> None:
    request = request_for()
    request.session = SessionStore()
    request._messages = FallbackStorage(request)
    twin = copy(request)
    assert (twin.path, twin.session) == (request.path, request.session)
    assert twin._messages is request._messages


def test_messages_are_kept_only_if_something_has_looked_at_them_or_added_some() -> None:
    request = request_for()
    assert not hasattr(request, "_messages")
    request.session = SessionStore()
    request._messages = FallbackStorage(request)
    release_messages(request)
    assert request.opened_messages is None
    messages.get_messages(request)  # as a context processor does for each page
    assert request.opened_messages is None
    messages.info(request, "Saved.")
    release_messages(request)
    assert [str(one) for one in messages.get_messages(request)] == ["Saved."]
    assert [str(one) for one in request.twin()._messages] == ["Saved."]
    request.reopen_messages(CookieStorage)
    assert not list(messages.get_messages(request))
    release_messages(request)
    assert request.opened_messages is not None  # what it has found may be gone by the next time


@pytest.mark.parametrize(
    ("scheme", "origin", "secure"),
    [
        ("ws", b"http://testserver", False),
        ("wss", b"https://testserver", True),
        (None, b"http://testserver", False),
        (None, b"https://testserver", True),
    ],
)
def test_the_scheme_is_that_of_the_page(scheme: str | None, origin: bytes, secure: bool) -> None:
    scope = {} if scheme is None else {"scheme": scheme}
    assert request_for("/", (b"host", b"testserver"), (b"origin", origin), **scope).is_secure() is secure


@pytest.mark.parametrize(
    ("value", "secure"),
    [(b"wss", True), (b"https", True), (b"ws", False), (b"http", False), (b"wss, ws", True)],
)
def test_a_proxy_may_name_the_scheme_of_the_socket(value: bytes, secure: bool, settings: Settings) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    request = request_for("/", (b"host", b"testserver"), (b"x-forwarded-proto", value), scheme="ws")
    assert request.is_secure() is secure


@pytest.mark.parametrize(
    ("prefix", "root", "path", "page"),
    [
        ("", "", "/document/42/", "/document/42/"),
        ("/ws", "", "/ws/document/42/", "/document/42/"),
        ("/ws/", "", "/ws/document/42/", "/document/42/"),
        ("/ws", "", "/ws/", "/"),
        ("/ws", "", "/document/42/", "/document/42/"),
        ("/ws", "", "/wsdl/", "/wsdl/"),
        ("/ws", "/app", "/ws/app/document/42/", "/app/document/42/"),
        ("/ws", "/app", "/app/ws/app/document/42/", "/app/document/42/"),
        ("/ws", "/app", "/app/ws/document/42/", "/app/document/42/"),
        ("", "/app", "/app/document/42/", "/app/document/42/"),
    ],
)
def test_the_socket_prefix_is_taken_off(
    prefix: str, root: str, path: str, page: str, settings: Settings
) -> None:
    settings.DJUST_PRESENCE = {"SOCKET_PREFIX": prefix}
    request = request_for(path, root_path=root)
    assert request.path == page
    assert request.path_info == page.removeprefix(root)


@pytest.mark.parametrize("path", ["/app/x/", "/ws/app/x/", "/app/ws/app/x/", "/app/ws/x/"])
def test_forcing_a_script_name_works(path: str, settings: Settings) -> None:
    settings.FORCE_SCRIPT_NAME = "/app"
    settings.DJUST_PRESENCE = {"SOCKET_PREFIX": "/ws"}
    request = request_for(path, root_path="/ignored")
    assert (request.path, request.path_info) == ("/app/x/", "/x/")


@pytest.mark.parametrize(
    ("origin", "host", "trusted", "allowed"),
    [
        (b"http://testserver", b"testserver", [], True),
        (b"https://testserver", b"testserver", [], True),
        (b"http://testserver:8000", b"testserver:8000", [], True),
        (b"http://testserver", b"testserver:8000", [], False),
        (b"http://evil.example", b"testserver", [], False),
        (b"http://evil.example", b"evil.example", [], False),
        (b"null", b"testserver", [], False),
        (b"", b"testserver", [], False),
        (b"https://a.example", b"testserver", ["https://a.example"], True),
        (b"https://b.a.example", b"testserver", ["https://*.a.example"], True),
        (b"http://b.a.example", b"testserver", ["https://*.a.example"], False),
        (b"https://testserver.evil.example", b"testserver", [], False),
        (b"http://testserver@evil.example", b"testserver", [], False),
        (b"http://testserver/", b"testserver", [], False),
        (b"http://testserver:80", b"testserver", [], False),  # no browser says so
        (b"HTTP://TESTSERVER", b"testserver", [], False),
        (b"ws://testserver", b"testserver", [], False),
        (b"testserver", b"testserver", [], False),
        (b"http://[::1", b"testserver", [], False),
        (b"http://testserver\xff", b"testserver", [], False),
        (b"http://[::1]:8000", b"[::1]:8000", [], True),
        (b"http://[::1]:8001", b"[::1]:8000", [], False),
        (b"http://a.example:81", b"testserver", ["http://a.example:81"], True),
        (b"http://a.example", b"testserver", ["http://a.example:81"], False),
        (b"https://a.example", b"evil.example", ["https://a.example"], True),  # and then a bad request
    ],
)
def test_only_pages_of_this_site_may_open_sockets(
    origin: bytes, host: bytes, trusted: list[str], allowed: bool, settings: Settings
) -> None:
    settings.CSRF_TRUSTED_ORIGINS = trusted
    settings.ALLOWED_HOSTS = ["testserver", "[::1]"]
    request = request_for("/", (b"host", host), (b"origin", origin), scheme="ws")
    assert origin_allowed(request) is allowed


@pytest.mark.parametrize(
    ("forwarded", "used", "origin", "allowed"),
    [
        (b"testserver", True, b"http://testserver", True),
        (b"testserver", False, b"http://testserver", False),
        (b"testserver:8000", True, b"http://testserver:8000", True),
        (b"testserver", True, b"http://inside:8000", False),
        (b"testserver", False, b"http://inside:8000", True),
        (b"evil.example", True, b"http://evil.example", False),
    ],
)
def test_behind_a_proxy_the_host_is_the_one_that_django_believes_in(
    forwarded: bytes, used: bool, origin: bytes, allowed: bool, settings: Settings
) -> None:
    settings.USE_X_FORWARDED_HOST = used
    settings.ALLOWED_HOSTS = ["testserver", "inside"]
    headers = [(b"host", b"inside:8000"), (b"x-forwarded-host", forwarded), (b"origin", origin)]
    assert origin_allowed(request_for("/", *headers, scheme="ws")) is allowed


@pytest.mark.parametrize(
    ("hosts", "allowed"), [([".example.org"], True), (["*"], True), (["testserver"], False)]
)
def test_a_page_of_a_host_that_is_not_allowed_is_none_of_this_site(
    hosts: list[str], allowed: bool, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS = hosts
    request = request_for("/", (b"host", b"a.example.org"), (b"origin", b"http://a.example.org"), scheme="ws")
    assert origin_allowed(request) is allowed


def test_a_page_without_tls_opens_no_socket_with_it() -> None:
    request = request_for("/", (b"host", b"testserver"), (b"origin", b"http://testserver"), scheme="wss")
    assert origin_allowed(request) is False


def test_two_origins_are_none() -> None:
    headers = [
        (b"host", b"testserver"),
        (b"origin", b"http://evil.example"),
        (b"origin", b"http://testserver"),
    ]
    assert origin_allowed(request_for("/", *headers, scheme="ws")) is False


def test_no_origin_is_no_page_of_this_site() -> None:
    assert origin_allowed(request_for("/", (b"host", b"testserver"))) is False


async def test_a_query_string_that_is_no_text_is_refused() -> None:
    socket = Socket("/counter/")
    socket.scope["query_string"] = b"\xff"
    assert await socket.connect() == (False, 1000)
    await socket.wait()


# Through the middleware


class Recorder:
    """Sync middleware that shows what it saw, and may spoil the response."""

    seen: list[str] = []
    spoil = ""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.seen.append(request.path)
        response: HttpResponse = self.get_response(request)
        match self.spoil:
            case "replace":
                return HttpResponse(response.content)
            case "deny":
                return HttpResponse(status=403)
        response["X-Seen"] = "1"
        return response


@pytest.fixture
def recorder(settings: Settings) -> Any:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Recorder"]
    Recorder.seen.clear()
    yield Recorder
    Recorder.spoil = ""


async def test_middleware_sees_the_socket_as_a_request_for_the_page(recorder: type[Recorder]) -> None:
    async with live("/counter/") as socket:
        await started(socket)
    assert recorder.seen == ["/counter/"]


@pytest.mark.parametrize(("spoil", "code"), [("replace", 4500), ("deny", 4403)])
async def test_a_page_is_live_only_if_its_own_response_comes_out(
    spoil: str, code: int, recorder: type[Recorder], caplog: pytest.LogCaptureFixture
) -> None:
    recorder.spoil = spoil
    async with live("/here/") as socket:
        assert await socket.closed() == code
    assert ("replaced the response" in caplog.text) is (spoil == "replace")


class Signals:
    """The signals of requests that came over sockets, in their order."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.hold = ""
        self.held = threading.Event()
        self.go_on = threading.Event()

    def say(self, what: str) -> None:
        self.heard.append(what)
        if what == self.hold:
            self.held.set()
            assert self.go_on.wait(5)

    def started(self, **kwargs: Any) -> None:
        self.say("started")

    def finished(self, **kwargs: Any) -> None:
        self.say("finished")

    async def fail(self, **kwargs: Any) -> None:
        raise RuntimeError("a receiver's failure")


@pytest.fixture
def signals() -> Iterator[Signals]:
    signals = Signals()
    request_started.connect(signals.started, sender=LiveHandler)
    request_finished.connect(signals.finished, sender=LiveHandler)
    yield signals
    request_started.disconnect(signals.started, sender=LiveHandler)
    request_started.disconnect(signals.fail, sender=LiveHandler)
    request_finished.disconnect(signals.finished, sender=LiveHandler)


@pytest.mark.parametrize(
    "path", ["/counter/", "/here/", "/plain/", "/nowhere/", "/answers/broken/", "/answers/forbidden/"]
)
async def test_requests_are_announced_as_any(path: str, signals: Signals) -> None:
    async with live(path) as socket:
        await socket.receive_output(timeout=5)
    assert signals.heard == ["started", "finished"]


async def test_requests_finish_whose_announcement_fails(
    signals: Signals, caplog: pytest.LogCaptureFixture
) -> None:
    request_started.connect(signals.fail, sender=LiveHandler)
    async with live("/counter/") as socket:
        assert await socket.closed() == 4500
    assert signals.heard == ["started", "finished"]
    assert "a receiver's failure" in caplog.text


class Holding:
    """Middleware that answers when it may."""

    signals: Signals

    def __init__(self, get_response: Any) -> None:
        pass

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.signals.say("answered")
        return HttpResponse()


@async_only_middleware
def only_async(get_response: Any) -> Any:
    async def middleware(request: HttpRequest) -> Any:
        await asyncio.sleep(0)
        return await get_response(request)

    return middleware


class Both(SessionMiddleware):
    """Middleware that is sync and async, as Django's own."""

    modes: ClassVar[list[bool]] = []

    def __call__(self, request: HttpRequest) -> Any:
        self.modes.append(self.async_mode)
        return super().__call__(request)


@pytest.mark.parametrize("more", [[], ["only_async"]])
async def test_the_chain_is_async_only_if_it_has_to_be(more: list[str], settings: Settings) -> None:
    named = [f"{__name__}.{one}" for one in [*more, "Both"]]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, *named]
    Both.modes.clear()
    async with live("/counter/") as socket:
        await started(socket)
    assert Both.modes == [bool(more)]


@pytest.mark.parametrize("when", ["started", "answered", "finished"])
async def test_requests_that_are_cancelled_are_run_to_their_end(
    when: str, signals: Signals, settings: Settings
) -> None:
    settings.MIDDLEWARE = [f"{__name__}.Holding"]
    Holding.signals = signals
    signals.hold = when
    answer = asyncio.create_task(respond(request_for("/counter/")))
    assert await asyncio.to_thread(signals.held.wait, 5)
    answer.cancel()
    signals.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await answer
    await until(lambda: signals.heard == ["started", "answered", "finished"])


@pytest.mark.parametrize("when", ["started", "answered", "finished"])
async def test_requests_that_are_cancelled_in_an_async_chain_finish_once_and_after_what_still_runs(
    when: str, signals: Signals, settings: Settings
) -> None:
    settings.MIDDLEWARE = [f"{__name__}.only_async", f"{__name__}.Holding"]
    Holding.signals = signals
    signals.hold = when
    answer = asyncio.create_task(respond(request_for("/counter/")))
    assert await asyncio.to_thread(signals.held.wait, 5)
    answer.cancel()
    signals.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await answer
    assert signals.heard == ["started", *(["answered"] if when != "started" else []), "finished"]


async def test_an_exception_that_django_lets_through_is_logged(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DEBUG_PROPAGATE_EXCEPTIONS = True
    async with live("/answers/broken/") as socket:
        assert await socket.closed() == 4500
    assert any(record.exc_info for record in caplog.records if record.name == "djust_presence")


async def test_settings_that_change_make_a_new_chain(settings: Settings) -> None:
    async with live("/counter/") as socket:
        await started(socket)
    settings.SECURE_SSL_REDIRECT = True
    async with live("/counter/") as socket:
        assert await socket.closed() == 4401


@pytest.mark.django_db(transaction=True)
async def test_a_logged_in_visitor_gets_in() -> None:
    user = await get_user_model().objects.acreate(username="ada")
    client = Client()
    await _login(client, user)
    cookie = f"sessionid={client.cookies['sessionid'].value}".encode()
    for path in ("/members/", "/decorated/", "/user/"):
        async with live(path, (b"cookie", cookie)) as socket:
            assert "ada" in (await started(socket))["*"] or path != "/user/"


async def _login(client: Client, user: Any) -> None:
    from asgiref.sync import sync_to_async

    await sync_to_async(client.force_login)(user)


def test_importing_the_package_needs_no_django_setup() -> None:
    program = (
        "import sys, djust_presence, djust_presence.live\n"
        "from djust_presence.live import LiveViewConsumer, lifespan\n"
        "LiveViewConsumer.as_asgi()\n"
        "assert 'django.contrib.auth.models' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, env={"DJANGO_SETTINGS_MODULE": "tests.settings"}
    )


# Whom the work counts for


def sender(cookies: bytes, address: str = "1.2.3.4") -> Sender:
    sent: Sender = request_for("/here/", (b"cookie", cookies), client=[address, 1]).sender
    return sent


def test_a_sender_is_known_by_a_session_else_a_token_else_an_address() -> None:
    assert sender(b"sessionid=a; csrftoken=b") == sender(b"sessionid=a; csrftoken=c")
    assert sender(b"csrftoken=b") == sender(b"csrftoken=b; other=c")
    assert sender(b"") == sender(b"other=c")
    different = [sender(b"sessionid=a"), sender(b"csrftoken=a"), sender(b""), sender(b"", "4.3.2.1")]
    assert len(set(different)) == 4
    assert {one.address for one in different} == {"1.2.3.4", "4.3.2.1"}


@pytest.mark.django_db
def test_nobody_passes_for_a_user_by_a_cookie() -> None:
    page = object.__new__(LivePage)
    page.request = request_for("/here/", (b"cookie", b"sessionid=42"))
    page.visitor = Visitor(None, None, None, "42", None, None, None, ())
    assert page.sender.visitor != page.request.sender.visitor
    assert page.sender.address == page.request.sender.address
