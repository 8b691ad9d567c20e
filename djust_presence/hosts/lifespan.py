"""The ASGI application for a server's ``lifespan``."""

from __future__ import annotations

from ..tracker import drain_all
from .asgi import Receive, Scope, Send

__all__ = ["lifespan"]


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Drain this process when the server stops. For ``"lifespan"`` in the ``ProtocolTypeRouter``."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await drain_all()
            await send({"type": "lifespan.shutdown.complete"})
            return
