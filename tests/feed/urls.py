"""A site with presence on any page, and with a live page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import include, path

from djust_presence import LiveView, PresenceMixin

__all__ = ["Room", "urlpatterns"]


class Room(PresenceMixin, LiveView):
    template_name = "room.html"
    presence_key = "room:{name}"

    def mount(self, request: HttpRequest, name: str) -> None:
        self.name = name
        self.events: list[Any] = []
        self.track_presence()

    def handle_presence_event(self, event: str, payload: Any) -> None:
        self.events.append((event, payload))


urlpatterns = [
    path("presence/", include("djust_presence.urls")),
    path("room/<name>/", Room.as_view()),
]
