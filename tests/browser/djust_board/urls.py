"""The whiteboard's view."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from djust import LiveView

from djust_presence import LiveCursorMixin


class BoardView(LiveCursorMixin, LiveView):
    template_name = "djust_board/board.html"
    presence_key = "board"
    presence_unique_per_connection = True

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence(meta={"name": "Somebody", "color": "rgb(1, 2, 3)"})


def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [path("", BoardView.as_view()), path("favicon.ico", nothing)]
