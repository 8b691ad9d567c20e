"""The pages of the site, the policy that they are served under, and the right to ask for rooms."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path

from djust_presence import LiveView, PresenceMixin, event_handler

TIMES: dict[str, float] = json.loads(os.environ["TIMES"])
POLICY = "default-src 'self'; require-trusted-types-for 'script'; trusted-types {}"


def strict_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        of_live_page = request.path.startswith("/live/")  # which parses what the server renders
        response["Content-Security-Policy"] = POLICY.format("djust_presence" if of_live_page else "'none'")
        return response

    return middleware


def may_join(request: HttpRequest, key: str) -> bool:
    return not key.startswith("secret")


def show(request: HttpRequest, name: str = "plain") -> HttpResponse:
    users = [User(pk=number, username=f"user{number}") for number in range(1, 6)]
    doc = f"doc:{request.GET.get('doc', '')}"
    return render(request, f"{name}.html", {"times": TIMES, "users": users, "doc": doc})


cached: dict[str, bytes] = {}


def show_cached(request: HttpRequest) -> HttpResponse:
    """The page as its first reader got it, as from a cache in between that ignores cookies."""
    url = request.get_full_path()
    if url not in cached:
        cached[url] = show(request).content
    return HttpResponse(cached[url])


class Board(PresenceMixin, LiveView):
    """A live page with elements in its region, which is rendered again and again."""

    template_name = "live.html"
    presence_key = "board"

    def mount(self, request: HttpRequest) -> None:
        self.clicks = 0
        self.times = TIMES
        self.doc = f"doc:{request.GET.get('doc', '')}"
        self.track_presence()

    @event_handler()
    def click(self) -> None:
        self.clicks += 1


def log_in(request: HttpRequest, name: str) -> HttpResponse:
    login(request, User.objects.get_or_create(username=name)[0], "django.contrib.auth.backends.ModelBackend")
    return HttpResponse("in")


def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("out")


urlpatterns = [
    path("presence/", include("djust_presence.urls")),
    path("", show),
    path("page/<name>/", show),
    path("cached/", show_cached),
    path("live/", Board.as_view()),
    path("log-in/<name>/", log_in),
    path("log-out/", log_out),
    path("favicon.ico", lambda request: HttpResponse()),
]
