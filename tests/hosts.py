"""Parts that the runs of the host contract share: views that tell their pages of each callback, and settings."""

from __future__ import annotations

from typing import Any

import pytest

from djust_presence import PresenceMixin

__all__ = ["Telling", "store"]


class Telling(PresenceMixin):
    """A page of the contract, without its host."""

    presence_key = "room:{room}"

    def mount(self, request: Any, **kwargs: Any) -> None:
        self.track_presence({"color": "teal"})

    def tell(self: Any, *told: Any) -> None:
        self.push_event("told", {"told": told})

    def handle_presence_join(self, presence: dict[str, Any]) -> None:
        self.tell("join", presence)

    def handle_presence_leave(self, presence: dict[str, Any]) -> None:
        self.tell("leave", presence)

    def handle_presence_update(self, presence: dict[str, Any]) -> None:
        self.tell("update", presence)

    def handle_presence_event(self, event: str, payload: Any) -> None:
        self.tell("event", event, payload)

    def answer(self: Any, method: str, args: list[Any], named: dict[str, Any]) -> None:
        self.push_event("answer", {"result": getattr(self, method)(*args, **named)})


def store(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of the store that a fixture's parameter names: "memory", or "redis" on a database of its own."""
    if request.param == "memory":
        return {
            "DJUST_PRESENCE": {},
            "CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
        }
    url = request.getfixturevalue("valkey_url")
    layer = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [url], "prefix": f"host-{url.rpartition('/')[2]}"},
    }
    return {
        "DJUST_PRESENCE": {"BACKEND": "redis", "LOCATION": url},
        "CHANNEL_LAYERS": {"default": layer},
    }
