"""Types of ASGI scopes and messages, whose keys depend on server and middleware."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..codes import CloseCode

__all__ = ["Message", "Receive", "Scope", "Send", "close_code"]

Scope = Mapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
# A server takes messages without optional keys. The types of asgiref and Channels demand all of them, hence Any.
Send = Callable[[Any], Awaitable[None]]


def close_code(disconnect: Message) -> int:
    """Return the close code of a ``websocket.disconnect``, in which some servers give none."""
    code: int | None = disconnect.get("code")
    return CloseCode.NO_STATUS if code is None else code
