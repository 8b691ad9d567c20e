"""The ASGI application for a server's ``lifespan``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ..tracker import drain_all

__all__ = ["lifespan"]

Message = dict[str, Any]


async def lifespan(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Drain this process when the server stops. For ``"lifespan"`` in the ``ProtocolTypeRouter``."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await drain_all()
            await send({"type": "lifespan.shutdown.complete"})
            return
