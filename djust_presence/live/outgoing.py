"""What goes out to a page: frames, one send at a time, and never a queue of what is out of date."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from .rendering import WHOLE
from .threads import spawn

__all__ = ["PING", "PONG", "Message", "Outgoing", "Send", "encode"]

logger = logging.getLogger("djust_presence")

MAX_WAITING_FRAMES = 256

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]


def encode(kind: str, **fields: Any) -> str:
    """A frame for the browser. Raises ``TypeError`` or ``ValueError`` for what JSON does not have."""
    frame = _dumps({"type": kind, **fields})
    try:
        frame.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no server could send
        frame = _dumps({"type": kind, **fields}, ensure_ascii=True)
    return frame


def _dumps(value: Any, *, ensure_ascii: bool = False) -> str:
    return json.dumps(
        value, cls=DjangoJSONEncoder, ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":")
    )


PING = encode("ping")
PONG = encode("pong")
# Of these, one that waits is as good as two.
ONCE = frozenset({PING, PONG})


class Outgoing:
    """What waits to be sent, with one send in flight: frames in their order, regions as they are by then.

    *gone* is called when it cannot be sent, as the peer has gone.
    """

    def __init__(self, send: Send, gone: Callable[[], None]) -> None:
        self._send = send
        self._gone = gone
        self._frames: list[str | Message | None] = []  # None: the regions
        self._regions: dict[str, str] = {}
        self._sender: asyncio.Task[None] | None = None

    def put(self, frame: str) -> bool:
        """Send *frame* after what waits; False if that is too much already."""
        if len(self._frames) >= MAX_WAITING_FRAMES:
            return False
        if frame not in ONCE or frame not in self._frames:
            self._enqueue(frame)
        return True

    def show(self, regions: Mapping[str, str]) -> None:
        """Send *regions*, in the place of such as wait already, if any do."""
        if not regions:
            return
        if WHOLE in regions:
            self._regions.clear()
        self._regions |= regions
        if None not in self._frames:
            self._enqueue(None)

    def close(self, code: int, reason: str) -> None:
        """Send nothing of what waits any more, and close."""
        self._frames.clear()
        self._enqueue({"type": "websocket.close", "code": code, "reason": reason})

    def end(self) -> None:
        """There is nobody to send to."""
        self._frames.clear()
        if self._sender is not None:
            self._sender.cancel()

    def _enqueue(self, frame: str | Message | None) -> None:
        self._frames.append(frame)
        if self._sender is None:
            self._sender = spawn(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._frames:
                frame = self._frames.pop(0)
                if frame is None:
                    regions, self._regions = self._regions, {}
                    frame = encode("render", regions=regions)
                await self._send(
                    {"type": "websocket.send", "text": frame} if isinstance(frame, str) else frame
                )
        except Exception:
            # Each server says in its own way that the peer has gone, and not all say it to receive() as well.
            logger.debug("A socket is gone.", exc_info=True)
            self._gone()
        finally:
            self._sender = None
