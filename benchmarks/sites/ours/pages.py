"""The pages of the site: everybody's group is in the address, and each socket is somebody else."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from djust_presence import LiveCursorMixin, LiveView, PresenceMixin, event_handler

__all__ = ["Board", "Counter", "List", "ListOfMine", "anybody"]


def anybody(request: HttpRequest, key: str) -> bool:
    return True


class Counter(PresenceMixin, LiveView):
    """Shows how many are here, in a part."""

    template_name = "ours/counter.html"
    presence_key = "{group}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.group = kwargs["group"]
        # A session is one visitor, however many tabs it has.
        self.presence_unique_per_connection = request.session.session_key is None
        self.track_presence({"name": request.GET.get("name", "Somebody"), "color": "teal"})

    @event_handler()
    def nothing(self) -> None:
        pass


class Board(LiveCursorMixin, Counter):
    """Shows everybody's pointer."""


class List(Counter):
    """Shows everybody, as the guide does."""

    template_name = "ours/list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(presences=self.list_presences(), **kwargs)


class ListOfMine(List):
    """Says in one row that this is the reader, so that no two pages show the same."""

    template_name = "ours/list_of_mine.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(me=self.get_presence_user_id(), **kwargs)
