"""The example project with pages whose mounts and handlers take as long as their URL says: settings, views and urls."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from djust_presence import LiveView, PresenceMixin, event_handler
from djust_presence.hosts.request import LiveRequest
from tests.site_settings import *  # noqa: F403

ROOT_URLCONF = __name__
if os.environ.get("SYNC_ONLY"):
    MIDDLEWARE = [*MIDDLEWARE, "tests.cluster.mount_site.sync_only"]  # noqa: F405


def sync_only(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that Django runs in a thread, which then waits for the loop."""
    return lambda request: get_response(request)


class Open(PresenceMixin, LiveView):
    """A page that opens in so many milliseconds over its socket, and at once over HTTP."""

    presence_key = "attacked"
    presence_unique_per_connection = True

    def mount(self, request: HttpRequest, milliseconds: int, **kwargs: Any) -> None:
        if isinstance(request, LiveRequest):
            time.sleep(milliseconds / 1000)
        self.track_presence()

    def get_template_names(self) -> Any:
        return engines["django"].from_string("{{ online_count }} online")

    @event_handler()
    def nothing(self) -> None:
        pass

    @event_handler()
    def take(self, value: Any = None) -> None:
        pass


urlpatterns = [path("open/<int:milliseconds>/", Open.as_view())]
