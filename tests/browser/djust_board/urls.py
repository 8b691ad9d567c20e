"""The whiteboard's view."""

from __future__ import annotations

import asyncio
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from djust import LiveView
from djust.decorators import event_handler

from djust_presence import LiveCursorMixin

released = asyncio.Event()
TIMES = {"person": 0, "retry": 2}


class BoardView(LiveCursorMixin, LiveView):
    template_name = "djust_board/board.html"
    presence_key = "board"
    presence_unique_per_connection = True
    script = True
    tags = False
    times = TIMES

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence(meta={"name": "Somebody", "color": "rgb(1, 2, 3)"})

    @event_handler()
    async def wait(self, **kwargs: Any) -> None:
        await released.wait()

    @event_handler()
    async def release(self, **kwargs: Any) -> None:
        released.set()

    @event_handler()
    def widen(self, **kwargs: Any) -> None:
        self.set_layout("djust_board/wide.html")  # type: ignore[attr-defined]

    @event_handler()
    def shout(self, **kwargs: Any) -> None:
        self.broadcast_to_presence("shout", {"text": "hi"})


def nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [
    path("", BoardView.as_view()),
    path("bare/", BoardView.as_view(script=False)),
    path("tags/", BoardView.as_view(tags=True)),
    path("presence/", include("djust_presence.urls")),
    path("favicon.ico", nothing),
]
