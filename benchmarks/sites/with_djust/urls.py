"""One view, whose mixin is djust's or this package's."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import path
from django.utils.module_loading import import_string
from djust import LiveView
from djust.decorators import event_handler

from .settings import IS_OURS

PresenceMixin: Any = import_string(
    "djust_presence.PresenceMixin" if IS_OURS else "djust.presence.PresenceMixin"
)


class Counter(PresenceMixin, LiveView):
    template_name = "with_djust/counter.html"
    presence_key = "document:{group}"
    presence_unique_per_connection = True  # else a visitor is a session
    online_count = 0

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.group = kwargs["group"]
        self.track_presence({"name": "Somebody", "color": "teal"})

    @event_handler()
    def nothing(self, **kwargs: Any) -> None:
        pass


class Tabs(Counter):
    """A visitor is a session, whatever the number of tabs."""

    presence_unique_per_connection = False


urlpatterns = [path("counter/<group>/", Counter.as_view()), path("tabs/<group>/", Tabs.as_view())]
