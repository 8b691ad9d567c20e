"""One view, whose mixin is djust's or this package's."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import path
from django.utils.module_loading import import_string
from djust import LiveView
from djust.decorators import event_handler

from ..visitors import begin
from .settings import IS_OURS

PresenceMixin: Any = import_string(
    "djust_presence.PresenceMixin" if IS_OURS else "djust.presence.PresenceMixin"
)


class Counter(PresenceMixin, LiveView):
    template_name = "with_djust/counter.html"
    presence_key = "document:{group}"
    online_count = 0

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.group = kwargs["group"]
        # A session is one visitor, however many tabs it has.
        self.presence_unique_per_connection = request.session.session_key is None
        self.track_presence({"name": "Somebody", "color": "teal"})

    @event_handler()
    def nothing(self, **kwargs: Any) -> None:
        pass


urlpatterns = [path("counter/<group>/", Counter.as_view()), path("session/", begin)]
