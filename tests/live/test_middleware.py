"""Middleware, decorators and mixins have the same effect on a page and on its socket: one row each, over both."""

from __future__ import annotations

import gzip
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import django
import pytest
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf.urls.i18n import i18n_patterns
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required, login_required, permission_required
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin, UserPassesTestMixin
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed
from django.db import connection, connections
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponsePermanentRedirect
from django.test import AsyncClient
from django.urls import path
from django.utils import timezone, translation
from django.utils.decorators import (
    async_only_middleware,
    method_decorator,
    sync_and_async_middleware,
    sync_only_middleware,
)
from django.views.decorators.cache import cache_page, never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_exempt, csrf_protect, ensure_csrf_cookie
from django.views.decorators.vary import vary_on_cookie
from pytest_django import Settings

from djust_presence.live import LiveView, LiveViewConsumer
from djust_presence.tracker import get_tracker

from . import views
from .conftest import Socket, live
from .test_consumer import started

pytestmark = pytest.mark.django_db(transaction=True)

LIVE = 0
# What a socket gets whose page gets this over HTTP, else 4500.
CODES = {200: LIVE, 301: 4401, 302: 4401, 400: 4400, 401: 4401, 403: 4403, 404: 4404, 405: 4404, 410: 4404}


# Pages


class Page(LiveView):
    """Shows what middleware, decorators and the URL have left for it."""

    template_name = "live/counter.html"
    starting = 0

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.count = (
            f"{request.user.get_username() or 'guest'} {getattr(request, 'mark', 'unmarked')} "
            f"{translation.get_language()} {timezone.get_current_timezone()} {kwargs.get('start', self.starting)} "
            f"{'atomic' if connection.in_atomic_block else 'loose'}"
        )


class Members(LoginRequiredMixin, Page):
    pass


class Permitted(PermissionRequiredMixin, Page):
    permission_required = "auth.view_user"


class Strict(Permitted):
    raise_exception = True


class Chosen(UserPassesTestMixin, Page):
    def test_func(self) -> bool:
        return self.request.user.get_username() == "grace"


class Elsewhere(Page):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return HttpResponsePermanentRedirect("/page/")


class Posted(Page):
    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


class Messages(Page):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        messages.info(request, "unread")
        self.count = " ".join(str(message) for message in messages.get_messages(request))


@method_decorator(never_cache, name="dispatch")
@method_decorator(login_required, name="dispatch")
class Decorated(Page):
    pass


@method_decorator(login_not_required, name="dispatch")
class Open(Page):
    pass


class Writing(Page):
    """Leaves a row behind, and is gone if its address says so."""

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        super().mount(request)
        User.objects.create_user(username="written")
        if "fail" in request.GET:
            raise Http404


@login_required
async def waits(request: HttpRequest) -> HttpResponseBase:
    return await sync_to_async(Page.as_view())(request)


page = Page.as_view()

urlpatterns = [
    path("page/", page),
    path("page/<int:start>/", page),
    path("initkwargs/", Page.as_view(starting=41, extra_context={"title": "Extra"})),
    path("login_required/", login_required(page)),
    path("login_required-async/", waits),
    path("login_not_required/", login_not_required(Page.as_view())),
    path("permission_required/", permission_required("auth.view_user")(page)),
    path("permission_required-strict/", permission_required("auth.view_user", raise_exception=True)(page)),
    path("decorated/", Decorated.as_view()),
    path("open/", Open.as_view()),
    path("members/", Members.as_view()),
    path("permitted/", Permitted.as_view()),
    path("strict/", Strict.as_view()),
    path("chosen/", Chosen.as_view()),
    path("answers/<str:what>/", views.Answers.as_view()),
    path("elsewhere/", Elsewhere.as_view()),
    path("posted/", Posted.as_view()),
    path("messages/", Messages.as_view()),
    path("cached/", cache_page(60)(page)),
    path("never_cache/", never_cache(page)),
    path("vary_on_cookie/", vary_on_cookie(page)),
    path("xframe/", xframe_options_deny(page)),
    path("csrf_exempt/", csrf_exempt(Page.as_view())),
    path("csrf_protect/", csrf_protect(ensure_csrf_cookie(page))),
    path("writing/", Writing.as_view()),
    path("plain/", views.plain),
    *i18n_patterns(path("translated/", page)),
]


# Middleware

GetResponse = Callable[[HttpRequest], Any]


@sync_only_middleware
def marks(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> Any:
        request.mark = "marked"  # type: ignore[attr-defined]
        return get_response(request)

    return middleware


@async_only_middleware
def marks_async(get_response: GetResponse) -> GetResponse:
    async def middleware(request: HttpRequest) -> Any:
        request.mark = "marked"  # type: ignore[attr-defined]
        return await get_response(request)

    return middleware


@sync_and_async_middleware
def marks_either(get_response: GetResponse) -> GetResponse:
    return marks_async(get_response) if iscoroutinefunction(get_response) else marks(get_response)


def in_tokyo(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> Any:
        with timezone.override("Asia/Tokyo"):
            return get_response(request)

    return middleware


def unused(get_response: GetResponse) -> GetResponse:
    raise MiddlewareNotUsed


def answers(status: int) -> Callable[[GetResponse], GetResponse]:
    return lambda get_response: lambda request: HttpResponse("An answer.", status=status)


under_maintenance, too_many, gone, basic_auth, answers_itself = map(answers, [503, 429, 410, 401, 200])


def replaces(get_response: GetResponse) -> GetResponse:
    return lambda request: HttpResponse(get_response(request).content)


def denies(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> Any:
        get_response(request)
        return HttpResponse(status=403)

    return middleware


def raises(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> Any:
        raise RuntimeError("a middleware's failure")

    return middleware


def raises_late(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> Any:
        get_response(request)
        raise RuntimeError("a middleware's late failure")

    return middleware


def raises_404(get_response: GetResponse) -> GetResponse:
    def middleware(request: HttpRequest) -> Any:
        raise Http404

    return middleware


class InTheView:
    """The other hooks of middleware: one answers before a view, one answers what the view has raised."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        return HttpResponse(status=403) if "deny" in request.GET else None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return HttpResponse(status=410) if isinstance(exception, RuntimeError) else None


# The table


class Row(NamedTuple):
    path: str
    status: int  # over HTTP
    shows: str = ""
    who: str | None = None
    middleware: tuple[str, ...] = ()
    settings: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    secure: bool = False
    code: int | None = None  # where it is another one than the status has


def own(name: str) -> tuple[str, ...]:
    return (f"{__name__}.{name}",)


LOGIN_REQUIRED = ("django.contrib.auth.middleware.LoginRequiredMiddleware",)
LOCALE = ("django.middleware.locale.LocaleMiddleware",)
CACHE = ("django.middleware.cache.UpdateCacheMiddleware", "django.middleware.cache.FetchFromCacheMiddleware")
SSL = {"SECURE_SSL_REDIRECT": True, "SECURE_HSTS_SECONDS": 60}
PROXY = {**SSL, "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}

ROWS = {
    "nothing": Row("/page/", 200, "guest unmarked"),
    "somebody": Row("/page/", 200, "grace", "grace"),
    "LoginRequiredMiddleware": Row("/page/", 302, middleware=LOGIN_REQUIRED),
    "LoginRequiredMiddleware, logged in": Row("/page/", 200, "ada", "ada", middleware=LOGIN_REQUIRED),
    "login_not_required": Row("/login_not_required/", 200, "guest", middleware=LOGIN_REQUIRED),
    "login_not_required on dispatch": Row("/open/", 200, "guest", middleware=LOGIN_REQUIRED),
    "login_required": Row("/login_required/", 302),
    "login_required, logged in": Row("/login_required/", 200, "ada", "ada"),
    "login_required around an async view": Row("/login_required-async/", 302),
    "login_required around an async view, logged in": Row("/login_required-async/", 200, "ada", "ada"),
    "method_decorator on dispatch": Row("/decorated/", 302),
    "method_decorator on dispatch, logged in": Row("/decorated/", 200, "ada", "ada"),
    "permission_required": Row("/permission_required/", 302),
    "permission_required, without it": Row("/permission_required/", 302, who="ada"),
    "permission_required, with it": Row("/permission_required/", 200, "grace", "grace"),
    "permission_required, raising": Row("/permission_required-strict/", 403),
    "permission_required, raising, without it": Row("/permission_required-strict/", 403, who="ada"),
    "permission_required, raising, with it": Row("/permission_required-strict/", 200, "grace", "grace"),
    "LoginRequiredMixin": Row("/members/", 302),
    "LoginRequiredMixin, logged in": Row("/members/", 200, "ada", "ada"),
    "PermissionRequiredMixin": Row("/permitted/", 302),
    "PermissionRequiredMixin, without it": Row("/permitted/", 403, who="ada"),
    "PermissionRequiredMixin, with it": Row("/permitted/", 200, "grace", "grace"),
    "PermissionRequiredMixin, raising": Row("/strict/", 403),
    "UserPassesTestMixin": Row("/chosen/", 302),
    "UserPassesTestMixin, failed": Row("/chosen/", 403, who="ada"),
    "UserPassesTestMixin, passed": Row("/chosen/", 200, "grace", "grace"),
    "PermissionDenied in mount": Row("/answers/forbidden/", 403),
    "Http404 in mount": Row("/answers/missing/", 404),
    "SuspiciousOperation in mount": Row("/answers/suspicious/", 400),
    "any other exception in mount": Row("/answers/broken/", 500),
    "a redirect from dispatch": Row("/elsewhere/", 301),
    "no such page": Row("/nowhere/", 404),
    "no get": Row("/posted/", 405),
    "a page that is not live": Row("/plain/", 200, "plain", code=4404),
    "APPEND_SLASH": Row("/page", 301),
    "no APPEND_SLASH": Row("/page", 404, settings={"APPEND_SLASH": False}),
    "the arguments of a URL": Row("/page/42/", 200, " 42 "),
    "initkwargs": Row("/initkwargs/", 200, " 41 "),
    "extra_context": Row("/initkwargs/", 200, "Extra"),
    "LocaleMiddleware": Row("/page/", 200, " de ", middleware=LOCALE, headers={"accept-language": "de"}),
    "i18n_patterns": Row("/de/translated/", 200, " de ", middleware=LOCALE),
    "i18n_patterns without a prefix": Row("/translated/", 302, middleware=LOCALE),
    "i18n_patterns, prefix of the wrong language": Row("/xx/translated/", 404, middleware=LOCALE),
    "a time zone": Row("/page/", 200, "Asia/Tokyo", middleware=own("in_tokyo")),
    "GZipMiddleware": Row(
        "/page/",
        200,
        "guest",
        middleware=("django.middleware.gzip.GZipMiddleware",),
        headers={"accept-encoding": "gzip"},
    ),
    "ConditionalGetMiddleware": Row(
        "/page/", 200, "guest", middleware=("django.middleware.http.ConditionalGetMiddleware",)
    ),
    "the cache of a site": Row("/page/", 200, "guest", middleware=CACHE),
    "cache_page": Row("/cached/", 200, "guest"),
    "never_cache": Row("/never_cache/", 200, "guest"),
    "vary_on_cookie": Row("/vary_on_cookie/", 200, "guest"),
    "xframe_options_deny": Row("/xframe/", 200, "guest"),
    "XFrameOptionsMiddleware": Row(
        "/page/", 200, "guest", middleware=("django.middleware.clickjacking.XFrameOptionsMiddleware",)
    ),
    "csrf_exempt": Row("/csrf_exempt/", 200, "guest"),
    "csrf_protect": Row("/csrf_protect/", 200, "guest"),
    "tokens in the session": Row("/csrf_protect/", 200, "guest", settings={"CSRF_USE_SESSIONS": True}),
    "messages": Row("/messages/", 200, "unread"),
    "messages in the session": Row(
        "/messages/",
        200,
        "unread",
        settings={"MESSAGE_STORAGE": "django.contrib.messages.storage.session.SessionStorage"},
    ),
    "SECURE_SSL_REDIRECT": Row("/page/", 301, settings=SSL),
    "SECURE_SSL_REDIRECT over TLS": Row("/page/", 200, "guest", settings=SSL, secure=True),
    "SECURE_SSL_REDIRECT behind a proxy": Row(
        "/page/",
        200,
        "guest",
        settings=PROXY,
        headers={"x-forwarded-proto": "https", "origin": "https://testserver"},
    ),
    "SECURE_SSL_REDIRECT behind a proxy without TLS": Row(
        "/page/", 301, settings=PROXY, headers={"x-forwarded-proto": "http"}
    ),
    "a host that is not allowed": Row(
        "/page/",
        400,
        headers={"host": "elsewhere.example", "origin": "https://trusted.example"},
        settings={"CSRF_TRUSTED_ORIGINS": ["https://trusted.example"]},
    ),
    "DISALLOWED_USER_AGENTS": Row(
        "/page/",
        403,
        headers={"user-agent": "Robot"},
        settings={"DISALLOWED_USER_AGENTS": [re.compile("Robot")]},
    ),
    "sync middleware": Row("/page/", 200, " marked ", middleware=own("marks")),
    "async middleware": Row("/page/", 200, " marked ", middleware=own("marks_async")),
    "middleware of both kinds": Row("/page/", 200, " marked ", middleware=own("marks_either")),
    "sync and async middleware in turns": Row(
        "/page/", 200, "Tokyo", middleware=own("marks_async") + own("in_tokyo") + own("marks_async")
    ),
    "middleware that is not used": Row("/page/", 200, "guest", middleware=own("unused")),
    "middleware that answers itself": Row(
        "/page/", 200, "An answer.", middleware=own("answers_itself"), code=4404
    ),
    "middleware that asks for a password": Row("/page/", 401, middleware=own("basic_auth")),
    "middleware that says: gone": Row("/page/", 410, middleware=own("gone")),
    "middleware that says: too many": Row("/page/", 429, middleware=own("too_many")),
    "middleware that says: later": Row("/page/", 503, middleware=own("under_maintenance")),
    "middleware that replaces the response": Row(
        "/page/", 200, "guest", middleware=own("replaces"), code=4500
    ),
    "middleware that denies afterwards": Row("/page/", 403, middleware=own("denies")),
    "middleware that raises": Row("/page/", 500, middleware=own("raises")),
    "middleware that raises afterwards": Row("/page/", 500, middleware=own("raises_late")),
    "middleware that raises Http404": Row("/page/", 404, middleware=own("raises_404")),
    "process_view": Row("/page/?deny=1", 403, middleware=own("InTheView")),
    "process_exception": Row("/answers/broken/", 410, middleware=own("InTheView")),
}
if django.VERSION >= (6, 0):
    from django.utils.csp import CSP

    ROWS["ContentSecurityPolicyMiddleware"] = Row(
        "/page/",
        200,
        "guest",
        middleware=("django.middleware.csp.ContentSecurityPolicyMiddleware",),
        settings={"SECURE_CSP": {"default-src": [CSP.SELF], "script-src": [CSP.SELF, CSP.NONCE]}},
    )


@pytest.fixture
def people() -> None:
    User.objects.create_user("ada")
    grace = User.objects.create_user("grace")
    grace.user_permissions.add(Permission.objects.get(codename="view_user"))


async def browser_of(who: str | None) -> AsyncClient:
    client = AsyncClient(raise_request_exception=False)
    if who:
        await client.aforce_login(await User.objects.aget(username=who))
    return client


def text_of(response: Any) -> str:
    compressed = response.get("Content-Encoding") == "gzip"
    return (gzip.decompress(response.content) if compressed else response.content).decode()


def scope_of(row: Row, client: AsyncClient) -> dict[str, Any]:
    """Return the scope of a socket that the browser of *client* opens."""
    headers = {"host": "testserver", "origin": "https://testserver" if row.secure else "http://testserver"}
    if client.cookies:
        headers["cookie"] = "; ".join(f"{name}={one.value}" for name, one in client.cookies.items())
    return {
        "scheme": "wss" if row.secure else "ws",
        "headers": [(name.encode(), value.encode()) for name, value in {**headers, **row.headers}.items()],
    }


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in ROWS.items()])
async def test_a_socket_gets_what_its_page_gets(row: Row, settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    settings.LANGUAGES = [("en", "English"), ("de", "German")]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, *row.middleware]
    for name, value in row.settings.items():
        setattr(settings, name, value)

    client = await browser_of(row.who)
    for _ in range(2):  # the second one might come out of a cache
        response = await client.get(row.path, headers=dict(row.headers), secure=row.secure)
        assert response.status_code == row.status
        assert row.shows in text_of(response)

    code = CODES.get(row.status, 4500) if row.code is None else row.code
    async with live(row.path, **scope_of(row, client)) as socket:
        if code == LIVE:
            assert row.shows in (await started(socket))["*"]
        else:
            assert await socket.closed() == code
            assert not get_tracker().sessions


# What is in no row


@pytest.mark.parametrize(("path", "status", "people"), [("/writing/", 200, 1), ("/writing/?fail", 404, 0)])
async def test_a_mount_is_in_a_transaction_where_requests_are(
    path: str, status: int, people: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ROOT_URLCONF = __name__
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    client = await browser_of(None)
    assert (await client.get(path)).status_code == status
    assert await User.objects.filter(username="written").acount() == people
    await User.objects.all().adelete()
    async with live(path) as socket:
        if status == 200:
            assert " atomic" in (await started(socket))["*"]
        else:
            assert await socket.closed() == CODES[status]
    assert await User.objects.filter(username="written").acount() == people


async def test_a_consumer_without_a_channel_layer_serves_pages(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__

    class Plain(LiveViewConsumer):
        channel_layer_alias = None  # type: ignore[assignment]  # which Channels looks for

    socket = Socket("/page/")
    socket.application = Plain.as_asgi()
    assert await socket.connect(timeout=5) == (True, None)
    assert "guest" in (await started(socket))["*"]
    await socket.disconnect(timeout=5)


class Built:
    """Middleware that takes its time to be built."""

    threads: list[threading.Thread] = []

    def __init__(self, get_response: GetResponse) -> None:
        self.threads.append(threading.current_thread())
        self.get_response = get_response
        time.sleep(0.2)

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)


async def test_the_chain_is_built_once_and_off_the_loop_however_many_come_first(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, *own("Built")]
    Built.threads.clear()
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(live("/page/")) for _ in range(20)]
        for socket in sockets:
            await started(socket)
    (thread,) = Built.threads
    assert thread is not threading.current_thread()


def broken(get_response: GetResponse) -> GetResponse:
    raise ImproperlyConfigured("a middleware that cannot be built")


async def test_a_chain_that_cannot_be_built_is_logged_and_tried_again(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MIDDLEWARE = own("broken")
    for _ in range(2):
        async with live("/page/") as socket:
            assert await socket.closed() == 4500
    assert caplog.text.count("ImproperlyConfigured: a middleware that cannot be built") == 2
