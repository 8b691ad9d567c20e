"""The checks of views that are routed, and of the application that is to serve their sockets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.auth.decorators import login_required
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.core.checks import CheckMessage
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.generic import DetailView, TemplateView, View
from pytest_django import Settings

from djust_presence import LiveCursorMixin, LiveView, PresenceMixin
from djust_presence.channels import PresenceConsumerMixin
from djust_presence.live import LiveViewConsumer
from tests.checked import presence_checks
from tests.servers import ROOT


class Page(PresenceMixin, LiveView):
    template_name = "page.html"


class Board(LiveCursorMixin, LiveView, DetailView):  # type: ignore[type-arg]
    template_name = "page.html"


class Static(PresenceMixin, TemplateView):
    template_name = "page.html"


class Cursors(LiveCursorMixin, View):
    pass


class Base(PresenceMixin):
    """Is not a view of any URL."""


class Abstract(PresenceMixin, TemplateView):
    """Is not routed."""


class LiveAbstract(Abstract, LiveView):
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return LiveView.get(self, request, *args, **kwargs)


class Talk(PresenceConsumerMixin):
    """Is a consumer."""


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


SOCKETS = LiveViewConsumer.as_asgi()
GOOD = ProtocolTypeRouter({"websocket": SOCKETS})
HTTP: Any = get_asgi_application()


async def wrapped(scope: Any, receive: Any, send: Any) -> None:
    """Hides its inner application."""


@pytest.fixture
def checked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    def check(*routes: Any, application: Any = GOOD) -> list[Any]:
        site: Any = ModuleType("checked_site")
        site.urlpatterns, site.application = list(routes), application
        monkeypatch.setitem(sys.modules, "checked_site", site)
        settings.ROOT_URLCONF = site
        if application is not None:
            settings.ASGI_APPLICATION = "checked_site.application"
        return presence_checks()

    return check


def only(messages: list[CheckMessage], id: str, message: str, hint: str) -> CheckMessage:
    (said,) = messages
    assert said.id == f"djust_presence.{id}"
    assert message in said.msg
    assert hint in str(said.hint)
    return said


@pytest.mark.parametrize(
    "views",
    [
        [],
        [Page.as_view(), login_required(Board.as_view()), LiveAbstract.as_view(), plain],
        [login_required(plain), TemplateView.as_view(template_name="page.html")],
    ],
)
def test_views_that_are_live_and_those_without_presence_are_passed_over(views: Any, checked: Any) -> None:
    assert checked(*(path(f"{number}/", view) for number, view in enumerate(views))) == []


@pytest.mark.parametrize(
    ("view", "name"), [(Static.as_view(), "Static"), (login_required(Cursors.as_view()), "Cursors")]
)
def test_presence_on_a_view_that_is_not_live_is_warned_of(view: Any, name: str, checked: Any) -> None:
    said = only(
        checked(path("deep/", include([path("down/", view), path("again/", view)]))),
        "W008",
        f"{__name__}.{name} is a PresenceMixin, but not a live view",
        f"class {name}(PresenceMixin, LiveView, …)",
    )
    assert not said.is_serious()


@pytest.mark.parametrize(
    "application",
    [
        ProtocolTypeRouter({"http": HTTP, "websocket": SOCKETS}),
        ProtocolTypeRouter({"http": HTTP, "websocket": URLRouter([path("", SOCKETS)])}),
        SOCKETS,
        wrapped,
        # It takes any ASGI application, but is typed for Django's own.
        ASGIStaticFilesHandler(ProtocolTypeRouter({"http": HTTP, "websocket": SOCKETS})),  # type: ignore[arg-type]
    ],
)
def test_an_application_that_may_have_a_route_for_sockets_is_passed_over(
    application: Any, checked: Any
) -> None:
    assert checked(path("", Page.as_view()), application=application) == []


@pytest.mark.parametrize(
    "application",
    [HTTP, ASGIStaticFilesHandler(HTTP), ProtocolTypeRouter({"http": HTTP}), ProtocolTypeRouter({})],
)
def test_an_application_without_a_route_for_sockets_is_warned_of(application: Any, checked: Any) -> None:
    said = only(
        checked(path("", login_required(Board.as_view())), application=application),
        "W007",
        "'checked_site.application', has no route for their WebSockets",
        '"websocket": LiveViewConsumer.as_asgi()',
    )
    assert not said.is_serious()
    assert checked(path("", plain), application=application) == []


def test_an_application_that_is_not_named_is_warned_of(checked: Any) -> None:
    said = only(
        checked(path("", Page.as_view()), application=None), "W005", "is not set", "mysite.asgi.application"
    )
    assert not said.is_serious()
    assert checked(path("", plain), application=None) == []


@pytest.mark.parametrize("name", ["application", "nowhere.asgi.application", "checked_site.nothing"])
def test_an_application_that_cannot_be_loaded_is_warned_of(
    name: str, checked: Any, settings: Settings
) -> None:
    settings.ASGI_APPLICATION = name
    only(checked(path("", Page.as_view()), application=None), "W006", repr(name), "asgi.py")


APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
DEFINE = """
from djust_presence import PresenceMixin
class Ticket(PresenceMixin):
    pass
"""


@pytest.mark.parametrize("apps", [APPS, [*APPS, "djust_presence"]])
def test_presence_without_the_app_is_an_error_as_soon_as_a_class_is_made(apps: list[str]) -> None:
    setup = (
        f"import django; from django.conf import settings; settings.configure(INSTALLED_APPS={apps!r}); "
        "django.setup()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", setup + DEFINE], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    if "djust_presence" in apps:
        assert not done.returncode, done.stderr
    else:
        assert "ImproperlyConfigured: Ticket is a PresenceMixin, but" in done.stderr
        assert "add 'djust_presence' to INSTALLED_APPS" in done.stderr
    before = subprocess.run(
        [sys.executable, "-c", DEFINE], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert not before.returncode, before.stderr


def test_pages_that_poll_a_store_of_one_process_are_warned_of(
    checked: Any, settings: Settings, redis_settings: dict[str, Any]
) -> None:
    routes = path("presence/", include("djust_presence.urls"))
    assert checked(routes) == []
    settings.ASGI_APPLICATION = None
    assert checked(application=None) == []
    only(checked(routes, application=None), "W009", "kept in the memory of one process", "'redis'")
    for name, value in redis_settings.items():
        setattr(settings, name, value)
    assert "djust_presence.W009" not in [one.id for one in checked(routes, application=None)]
