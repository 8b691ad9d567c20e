"""The least that telling everybody costs: an ASGI application that sends to all sockets what one of them says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

sends: dict[int, Callable[[dict[str, Any]], Awaitable[None]]] = {}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await receive()
    await send({"type": "websocket.accept"})
    sends[id(send)] = send
    try:
        while (message := await receive())["type"] != "websocket.disconnect":
            for one in tuple(sends.values()):
                await one({"type": "websocket.send", "text": message["text"]})
    finally:
        del sends[id(send)]
