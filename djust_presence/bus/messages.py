"""The messages that the channel layer carries, and the Channels groups that they go to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..keys import short_name
from ..state.json_text import MAX_LEVELS, decode, encode
from .base import Item

__all__ = ["decode_items", "encode_item", "group_name", "message"]

TYPE = "djust_presence.message"
ITEM_LEVELS = MAX_LEVELS + 1  # as the payload of an event stands in its item


def group_name(namespace: str, key: str) -> str:
    """Return the Channels group of the processes that serve *key* with the same store, in the same schema."""
    return f"djust_presence.{short_name(namespace, key)}"


def encode_item(item: Item) -> str:
    """Return *item* as a message carries it. Raises ``TypeError`` or ``ValueError`` for what is not JSON.

    It is text, because a layer's serializer may refuse large numbers and lone surrogates.
    """
    return json.dumps(item, allow_nan=False)


def decode_items(text: str) -> list[Item | None]:
    """Return the items of a message, None for one that is nested too deeply or has a number that is not finite.

    Raises ``ValueError`` or ``RecursionError`` if the text cannot be parsed.
    """
    items: Any
    try:
        items = decode(text, ITEM_LEVELS + 1, half_pairs=True)
    except ValueError:
        items = [item if _is_json(item) else None for item in json.loads(text)]
    if not isinstance(items, list):
        raise ValueError("The items of the message are not a list.")
    return items


def _is_json(item: Any) -> bool:
    try:
        encode(item, ITEM_LEVELS)
    except ValueError:
        return False
    return True


def message(key: str, items: Sequence[str], sender: str = "") -> dict[str, Any]:
    """Return the message of a bus with the id *sender*, or of a caller without a bus; *items* are encoded."""
    return {"type": TYPE, "key": key, "items": f"[{','.join(items)}]", "from": sender}
