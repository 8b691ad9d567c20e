"""The desk's view, and the policy under which its page is served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path

from djust_presence import LiveView, PresenceMixin, event_handler


def strict_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Content-Security-Policy"] = "default-src 'self'"
        return response

    return middleware


class DeskView(PresenceMixin, LiveView):
    """``?htmx=2`` and ``?htmx=4`` give the page an htmx of its own."""

    template_name = "desk/desk.html"
    presence_key = "desk"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.htmx = request.GET.get("htmx", "")
        self.lines = range(100)
        self.draft = ""
        self.sent: list[str] = []
        self.name, self.error = "Ada", ""
        self.track_presence()

    @event_handler()
    def set_draft(self, value: str) -> None:
        self.draft = value

    @event_handler()
    def post(self, text: str) -> None:
        if text == "fail":
            raise ValueError(text)
        self.sent.append(text)

    @event_handler()
    def rename(self, name: str) -> None:
        self.name = name.strip()
        self.error = "" if self.name else "A name is needed."


class TableView(PresenceMixin, LiveView):
    """Its rows, shapes and options are regions."""

    template_name = "desk/table.html"
    presence_key = "table"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(people=self.list_presences(), **kwargs)


def hit(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hit")


urlpatterns = [
    path("", DeskView.as_view()),
    path("table/", TableView.as_view()),
    path("hit/", hit),
    path("favicon.ico", hit),
]
