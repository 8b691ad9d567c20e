"""Rooms whose pages say who they are, and report all that their callbacks are told.

``?user=`` is the user id and ``?status=`` a part of the meta.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template import engines
from django.urls import include, path

from djust_presence import CursorTracker, LiveCursorMixin, LiveView, PresenceMixin, event_handler

PAGE = """{{ online_count }} online:
{% for one in people %}<li>{{ one.id }} {{ one.name }} {{ one.status }} {{ one.connections }}</li>{% endfor %}
{% if cursors %}at: {% for user, at in cursors.items %}<b>{{ user }}</b>{% endfor %}{% endif %}"""


class Room(PresenceMixin, LiveView):
    presence_key = "room:{room}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.room = kwargs["room"]
        user = self.get_presence_user_id()
        self.track_presence(meta={"name": user.title(), "status": request.GET.get("status", "here")})

    def get_presence_user_id(self) -> str:
        return self.request.GET.get("user") or super().get_presence_user_id()

    def get_template_names(self) -> Any:
        return engines["django"].from_string(PAGE)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(people=self.list_presences(), **kwargs)

    def handle_presence_join(self, presence: dict[str, Any]) -> None:
        self.push_event("join", presence)

    def handle_presence_leave(self, presence: dict[str, Any]) -> None:
        self.push_event("leave", presence)

    def handle_presence_update(self, presence: dict[str, Any]) -> None:
        self.push_event("update", presence)

    @event_handler()
    def say(self, status: str) -> None:
        self.update_presence(status=status)

    @event_handler()
    def call(self, text: str) -> None:
        self.broadcast_to_presence("call", {"text": text})


class Desk(LiveCursorMixin, Room):
    """A room with cursors; its page shows whose positions the cache has."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(cursors=CursorTracker.get_cursors(f"room:{self.room}"), **kwargs)


urlpatterns = [
    path("room/<room>/", Room.as_view()),
    path("desk/<room>/", Desk.as_view()),
    path("", include("example_project.urls")),
]
