from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from djust_presence import LiveCursorMixin, LiveView, PresenceMixin, event_handler


class DocumentView(LiveCursorMixin, PresenceMixin, LiveView):
    template_name = "document.html"
    presence_key = "document:{doc_id}"

    doc_id: int

    def mount(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self.doc_id = kwargs["doc_id"]
        self.track_presence({"color": "teal"})

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(presences=self.list_presences(), **kwargs)

    @event_handler()
    def rename(self, value: str) -> None:
        self.update_presence(name=value[:40])

    @event_handler
    async def clear(self) -> None:
        await self.abroadcast_to_presence("cleared")


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "page.html")
