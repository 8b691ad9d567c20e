"""Pages of the tenants: each has its own users and sessions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path
from django_tenants.utils import tenant_context

from tests.live.accounts.urls import Quiet, Watch, log_in


class OfTenant:
    """Enters the schema of the tenant, as the guide to access says."""

    request: Any

    def live_context(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = tenant_context(self.request.tenant)
        return context


class TenantWatch(OfTenant, Watch):
    pass


class TenantQuiet(OfTenant, Quiet):
    pass


class PlainlyLive(Quiet):
    """Leaves it to PAGE_CONTEXT."""


def by_token(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware that knows people by a token, without a session."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if token := request.COOKIES.get("token"):
            request.user = User.objects.get(pk=token)
        return get_response(request)

    return middleware


def give_token(request: HttpRequest, token: str) -> HttpResponse:
    response = HttpResponse()
    response.set_cookie("token", token)
    return response


def tenant_of(request: Any) -> AbstractContextManager[Any]:
    """PAGE_CONTEXT, as the guide to access says."""
    context: AbstractContextManager[Any] = tenant_context(request.tenant)
    return context


def may_join(request: HttpRequest, key: str) -> bool:
    """AUTHORIZE: everybody but users whom their tenant and the request call "Out"."""
    user: Any = request.user
    return {user.first_name, User.objects.get(pk=user.pk).first_name} != {"Out"}


def show(request: HttpRequest) -> HttpResponse:
    """An ordinary page, with the room of an object of the tenant's."""
    return render(request, "plain.html", {"object": Group.objects.get()})


urlpatterns = [
    path("presence/", include("djust_presence.urls")),
    path("plain/", show),
    path("plainly-live/", PlainlyLive.as_view()),
    path("watch/", TenantWatch.as_view()),
    path("quiet/", TenantQuiet.as_view()),
    path("log-in/<username>/", log_in),
    path("token/<token>/", give_token),
]
