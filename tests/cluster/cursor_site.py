"""The example project with boards that have cursors: settings, views and urls."""

from __future__ import annotations

import time
from typing import Any

from django.http import HttpRequest
from django.template import engines
from django.urls import path

from djust_presence import LiveCursorMixin, LiveView, event_handler
from tests.site_settings import *  # noqa: F403

ROOT_URLCONF = __name__


class Board(LiveCursorMixin, LiveView):
    """Everything by default."""

    presence_key = "board:{board_id}"
    presence_unique_per_connection = True

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.board_id = kwargs["board_id"]
        self.track_presence(meta={"name": request.GET.get("name"), "color": "#e74c3c"})

    def get_template_names(self) -> Any:
        return engines["django"].from_string("{{ online_count }} online")


class OwnHandler(Board):
    """Handles moves as the guide's whiteboard does."""

    @event_handler()
    def cursor_move(self, x=0, y=0, **kwargs):  # type: ignore[no-untyped-def]
        self.handle_cursor_move(int(x), int(y))


class SlowHandler(OwnHandler):
    """Takes its time over the moves of those who are called slow."""

    @event_handler()
    def cursor_move(self, x=0, y=0, **kwargs):  # type: ignore[no-untyped-def]
        if self.request.GET.get("name") == "slow":
            time.sleep(2)
        self.handle_cursor_move(int(x), int(y))


urlpatterns = [
    path("board/<board_id>/", Board.as_view()),
    path("own/<board_id>/", OwnHandler.as_view()),
    path("slow/<board_id>/", SlowHandler.as_view()),
]
