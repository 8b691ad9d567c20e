"""A site of one room, whose people name themselves and whose pages are told who joined and who left."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template import engines
from django.urls import path

from djust_presence import LiveView, PresenceMixin
from tests.site_settings import *  # noqa: F403
from tests.site_settings import LOGGING as USUAL

ROOT_URLCONF = __name__
MIDDLEWARE = []
LOGGING = USUAL | {
    "loggers": {"channels_redis": {"level": "CRITICAL"}}
}  # channels_redis logs how its receive tasks ended
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
INSTALLED_APPS = ["channels", "djust_presence"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


class Room(PresenceMixin, LiveView):
    presence_key = "room"

    def get_presence_user_id(self) -> str:
        return self.request.GET["user"]

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        users = " ".join(presence["id"] for presence in self.list_presences())
        return super().get_context_data(users=users, **kwargs)

    def get_template_names(self) -> Any:
        return engines["django"].from_string("[{{ users }}]")

    def handle_presence_join(self, presence: dict[str, Any]) -> None:
        self.push_event("joined", presence["id"])

    def handle_presence_leave(self, presence: dict[str, Any]) -> None:
        self.push_event("left", presence["id"])


urlpatterns = [path("room/", Room.as_view())]
