"""Pages that say who their user is to them, and views by which tests change that."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.mixins import UserPassesTestMixin
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path

from djust_presence import LiveView, event_handler

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


class Watch(LiveView):
    template_name = "watch.html"
    checks = 0

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        user: Any = request.user
        self._user = user
        getattr(user, "greeting", None)
        self.may_before = user.has_perm("auth.add_user") if hasattr(user, "has_perm") else None

    def still_allowed(self, user: Any) -> bool:
        self.checks += 1
        return bool(super().still_allowed(user)) and user.first_name != "Out"

    @event_handler()
    def look(self) -> None:
        user: Any = self.request.user
        self.push_event(
            "seen",
            {
                "checks": self.checks,
                "same": user is self._user,
                "pk": str(user.pk),
                "kind": user.__class__.__name__,
                "username": str(user.get_username()),
                "deferred": sorted(user.get_deferred_fields()),
                "may": user.has_perm("auth.add_user") if hasattr(user, "has_perm") else None,
                "verified": bool(user.is_verified()) if hasattr(user, "is_verified") else None,
                **{
                    name: getattr(user, name, None)
                    for name in ("first_name", "greeting", "office", "note", "is_hijacked", "is_impersonate")
                },
            },
        )


class Verified(UserPassesTestMixin, Watch):
    def test_func(self) -> bool:
        return bool(self.request.user.is_verified())  # type: ignore[union-attr]


class Impersonated(UserPassesTestMixin, Watch):
    def test_func(self) -> bool:
        return bool(self.request.user.is_impersonate)  # type: ignore[union-attr]


class Hijacked(UserPassesTestMixin, Watch):
    def test_func(self) -> bool:
        return bool(self.request.user.is_hijacked)  # type: ignore[union-attr]


class Quiet(LiveView):
    """Has no say in who may see it, and is checked together with all others."""

    template_name = "watch.html"
    look = Watch.look
    checks = 0
    _user = None


def note(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware that puts something on the user, and sometimes another class of user."""

    def middleware(request: HttpRequest) -> HttpResponse:
        user: Any = request.user
        if user.is_authenticated and (kind := request.session.get("kind")):
            model = apps.get_model("accounts", kind)
            request.user = user = model._default_manager.defer("bio").get(pk=user.pk)
        user.note = "by middleware"
        return get_response(request)

    return middleware


def log_in(request: HttpRequest, username: str) -> HttpResponse:
    model = get_user_model()
    user = model._default_manager.get(**{model.USERNAME_FIELD: username})
    login(request, user, request.GET.get("backend", MODEL_BACKEND))
    return HttpResponse(get_token(request))


def take(request: HttpRequest, kind: str) -> HttpResponse:
    request.session["kind"] = kind
    return HttpResponse()


def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse()


def verify(request: HttpRequest) -> HttpResponse:
    import django_otp
    from django_otp.plugins.otp_static.models import StaticDevice

    device = StaticDevice.objects.create(user=request.user, name="tests", confirmed=True)
    django_otp.login(request, device)
    return HttpResponse()


urlpatterns: list[Any] = [
    path("watch/", Watch.as_view()),
    path("quiet/", Quiet.as_view()),
    path("verified/", Verified.as_view()),
    path("hijacked/", Hijacked.as_view()),
    path("impersonated/", Impersonated.as_view()),
    path("log-in/<username>/", log_in),
    path("as/<kind>/", take),
    path("log-out/", log_out),
    path("verify/", verify),
]
if find_spec("hijack") and apps.is_installed("hijack"):
    urlpatterns.append(path("hijack/", include("hijack.urls")))
if find_spec("impersonate") and apps.is_installed("impersonate"):
    urlpatterns.append(path("impersonate/", include("impersonate.urls")))
