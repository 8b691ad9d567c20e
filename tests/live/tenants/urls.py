"""Pages of the tenants: each has its own users and sessions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import path
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


urlpatterns = [
    path("watch/", TenantWatch.as_view()),
    path("quiet/", TenantQuiet.as_view()),
    path("log-in/<username>/", log_in),
    path("token/<token>/", give_token),
]
