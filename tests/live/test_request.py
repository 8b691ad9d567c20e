from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, HttpResponse
from django.test import Client
from pytest_django import Settings

from djust_presence.live.request import LiveHandler, build_request, origin_allowed

from .conftest import Socket, live
from .test_consumer import started


def request_for(path: str = "/document/42/?a=b", *headers: tuple[bytes, bytes], **scope: Any) -> Any:
    socket = Socket(path)
    merged = {**socket.scope, **scope}
    if headers:
        merged["headers"] = list(headers)
    return build_request(merged, lambda view: None)


# From the scope to the request


def test_it_is_the_get_request_of_the_page() -> None:
    request = request_for()
    assert (request.method, request.path, request.path_info) == ("GET", "/document/42/", "/document/42/")
    assert request.GET.dict() == {"a": "b"}
    assert request.body == b""
    assert request.get_host() == "testserver"
    assert request.build_absolute_uri() == "http://testserver/document/42/?a=b"


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


def test_forcing_a_script_name_works(settings: Settings) -> None:
    settings.FORCE_SCRIPT_NAME = "/app"
    assert request_for("/app/x/").path_info == "/x/"


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
    ],
)
def test_only_pages_of_this_site_may_open_sockets(
    origin: bytes, host: bytes, trusted: list[str], allowed: bool, settings: Settings
) -> None:
    settings.CSRF_TRUSTED_ORIGINS = trusted
    request = request_for("/", (b"host", host), (b"origin", origin), scheme="ws")
    assert origin_allowed(request) is allowed


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


async def test_requests_are_announced_as_any(recorder: type[Recorder]) -> None:
    heard: list[str] = []

    def begun(**kwargs: Any) -> None:
        heard.append("started")

    def ended(**kwargs: Any) -> None:
        heard.append("finished")

    request_started.connect(begun, sender=LiveHandler)
    request_finished.connect(ended, sender=LiveHandler)
    try:
        async with live("/counter/") as socket:
            await started(socket)
        async with live("/answers/broken/") as socket:
            assert await socket.closed() == 4500
    finally:
        request_started.disconnect(begun, sender=LiveHandler)
        request_finished.disconnect(ended, sender=LiveHandler)
    assert heard == ["started", "finished"] * 2


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
async def test_who_is_logged_in_gets_in() -> None:
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
