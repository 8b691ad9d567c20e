"""The least that telling everybody costs: an ASGI application that sends the frame of a counter to all its sockets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["Send", "application", "serve"]

Send = Callable[[dict[str, Any]], Awaitable[None]]
Tell = Callable[[dict[int, Send]], Awaitable[None]]

FRAME = '{{"type":"render","regions":{{"live-1":"<p>{} online</p>"}}}}'
groups: defaultdict[str, dict[int, Send]] = defaultdict(dict)


async def tell(sends: dict[int, Send]) -> None:
    text = FRAME.format(len(sends))
    for send in tuple(sends.values()):
        await send({"type": "websocket.send", "text": text})


async def serve(scope: dict[str, Any], receive: Any, send: Send, tell: Tell) -> None:
    """Let a socket be in the group of its path, and *tell* the group when it comes and goes."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await receive()
    await send({"type": "websocket.accept"})
    sends = groups[scope["path"]]
    sends[id(send)] = send
    await tell(sends)
    try:
        while (message := await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": message["text"]})
    finally:
        del sends[id(send)]
        await tell(sends)


async def application(scope: dict[str, Any], receive: Any, send: Send) -> None:
    await serve(scope, receive, send, tell)
