"""The least that an ordinary page with a list costs: frames of the same bytes, sent to all sockets in a loop."""

from __future__ import annotations

import json
import time
from typing import Any

from .bare import Send, answer_http

ROOM = "room-of-16-bytes"
READY = '{"type":"ready","version":1,"ping":30.0}'
JOINED = '{"type":"joined","room":"%s","me":"%s","self":%s,"meta_keys":["status","typing"]}'
STATE = '{"type":"state","room":"%s","count":%d,"members":[%s]}'
DIFF = '{"type":"diff","room":"%s","count":%d,"joins":[%s]}'

sends: dict[int, Send] = {}
people: dict[str, str] = {}  # as JSON, by visitor


async def application(scope: dict[str, Any], receive: Any, send: Send) -> None:
    if scope["type"] != "websocket":
        await answer_http(scope, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    await say(send, READY)
    visitor = ""
    try:
        while (message := await receive())["type"] != "websocket.disconnect":
            match json.loads(message["text"]):
                case {"type": "hello", "visitor": visitor}:
                    pass
                case {"type": "join"}:
                    await join(send, visitor)
    finally:
        sends.pop(id(send), None)


async def join(send: Send, visitor: str) -> None:
    """Send the visitor's page the whole state, and the other pages the visitor, unless they have them."""
    comes = visitor not in people
    person = people.setdefault(visitor, f'{{"id":"{visitor[:16]}","joined_at":{time.time()}}}')
    await say(send, JOINED % (ROOM, visitor[:16], person))
    await say(send, STATE % (ROOM, len(people), ",".join(people.values())))
    if comes:
        diff = DIFF % (ROOM, len(people), person)
        for other in tuple(sends.values()):
            await say(other, diff)
    sends[id(send)] = send


async def say(send: Send, text: str) -> None:
    await send({"type": "websocket.send", "text": text})
