"""The least that cursors cost: an ASGI application that merges moves and sends them to everybody, nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

TICK = 1 / 30

sends: dict[int, Callable[[dict[str, Any]], Awaitable[None]]] = {}
moved: dict[int, list[float]] = {}
numbers = count(1)
ticking: list[asyncio.Task[None]] = []


async def tick() -> None:
    while True:
        await asyncio.sleep(TICK)
        if moved:
            frame = json.dumps({"type": "cursors", "moves": [[number, *at] for number, at in moved.items()]})
            moved.clear()
            for send in tuple(sends.values()):
                await send({"type": "websocket.send", "text": frame})


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    if not ticking:
        ticking.append(asyncio.create_task(tick()))
    await receive()
    await send({"type": "websocket.accept"})
    number = next(numbers)
    sends[number] = send
    try:
        while (message := await receive())["type"] != "websocket.disconnect":
            frame = json.loads(message["text"])
            if frame["type"] == "cursor":
                moved[number] = [frame["x"], frame["y"], frame["w"], frame["h"]]
    finally:
        del sends[number]
