"""The example project with presence on any page, and an address that gives out tickets."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

from djust_presence.feed.tickets import Ticket


def ticket(request: HttpRequest, key: str) -> HttpResponse:
    """Give everybody a room and a ticket; with ``?watch``, one that only watches."""
    issued = Ticket(key, "watch" not in request.GET)
    return JsonResponse({"room": issued.room, "ticket": issued.sign(request)})


urlpatterns = [
    path("tickets/<key>/", ticket),
    path("presence/", include("djust_presence.urls")),
    path("", include("example_project.urls")),
]
