"""The example project with one more page, whose handlers take their time: settings, views and urls."""

from __future__ import annotations

import os
import time
from typing import Any

from django.http import HttpRequest
from django.template import engines
from django.urls import path

from djust_presence import LiveView, PresenceMixin, event_handler
from tests.site_settings import *  # noqa: F403

ROOT_URLCONF = __name__
SLOW = float(os.environ["SLOW"])  # seconds


class SlowView(PresenceMixin, LiveView):
    presence_key = "slow"
    presence_unique_per_connection = True

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()

    def get_template_names(self) -> Any:
        return engines["django"].from_string("{{ online_count }} online")

    @event_handler()
    def sleep(self) -> None:
        time.sleep(SLOW)


urlpatterns = [path("slow/", SlowView.as_view())]
