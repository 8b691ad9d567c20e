"""The messages that the channel layer carries, and the Channels groups that they go to."""

from __future__ import annotations

import json
from typing import Any

from ..keys import short_name
from .base import Item

__all__ = ["group_name", "message"]

TYPE = "djust_presence.message"


def group_name(namespace: str, key: str) -> str:
    """Return the Channels group of the processes that serve *key* with the same store, in the same schema."""
    return f"djust_presence.{short_name(namespace, key)}"


def message(key: str, items: list[Item], sender: str = "") -> dict[str, Any]:
    """Return the message of a bus with the id *sender*, or of a caller without a bus.

    The items are JSON text, because a layer's serializer may refuse large numbers and lone surrogates.
    """
    return {"type": TYPE, "key": key, "items": json.dumps(items), "from": sender}
