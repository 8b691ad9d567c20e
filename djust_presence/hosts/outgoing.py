"""The queue of frames to a page: one send at a time, and regions only in their latest state."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from .threads import spawn

__all__ = ["PING", "PONG", "WHOLE", "Changed", "Message", "Outgoing", "Send", "dumps", "encode"]

logger = logging.getLogger("djust_presence")

MAX_WAITING_FRAMES = 256
STALLED = 5.0  # seconds for which more may wait, as a page that keeps up takes any burst in
# The id of the page itself, which is live as a whole where it has no regions of its own.
WHOLE = "*"

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]


def encode(kind: str, **fields: Any) -> str:
    """A frame for the browser. Raises ``TypeError`` or ``ValueError`` for what JSON does not have."""
    frame = dumps({"type": kind, **fields})
    try:
        frame.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no server could send
        frame = dumps({"type": kind, **fields}, ensure_ascii=True)
    return frame


def dumps(value: Any, *, ensure_ascii: bool = False) -> str:
    """Return *value* as the JSON that frames are made of."""
    return json.dumps(
        value, cls=DjangoJSONEncoder, ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":")
    )


class Changed(dict[str, str]):
    """The html of regions for the browser, by id. Not to be changed, as several pages may be given the same."""

    @cached_property
    def frame(self) -> str:
        return encode("render", regions=self)


PING = encode("ping")
PONG = encode("pong")
# Of these, one that waits is as good as two.
ONCE = frozenset({PING, PONG})


class Outgoing:
    """A queue with one send in flight: frames in their order, regions in their latest state.

    *gone* is called when it cannot be sent, as the peer has gone.
    """

    def __init__(self, send: Send, gone: Callable[[], None]) -> None:
        self._send = send
        self._gone = gone
        self._frames: list[str | Message | None] = []  # None: the regions
        self._regions = Changed()
        self._sender: asyncio.Task[None] | None = None
        self._kept_up_at = 0.0

    @property
    def idle(self) -> bool:
        return self._sender is None

    def put(self, frame: str, now: float) -> bool:
        """Send *frame* after what waits; False if that has been too much for too long. *now* is in seconds."""
        if len(self._frames) < MAX_WAITING_FRAMES:
            self._kept_up_at = now
        elif now - self._kept_up_at > STALLED:
            return False
        if frame not in ONCE or frame not in self._frames:
            self._enqueue(frame)
        return True

    def show(self, regions: Changed) -> None:
        """Send *regions*, in the place of such as wait already, if any do."""
        if not regions:
            return
        if self._regions and WHOLE not in regions:
            regions = Changed(self._regions | regions)
        self._regions = regions
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
            sender = spawn(self._send_all(), at_once=True)
            self._sender = None if sender.done() else sender

    async def _send_all(self) -> None:
        try:
            while self._frames:
                frame = self._frames.pop(0)
                if frame is None:
                    regions, self._regions = self._regions, Changed()
                    frame = regions.frame
                await self._send(
                    {"type": "websocket.send", "text": frame} if isinstance(frame, str) else frame
                )
        except Exception:
            # Each server says in its own way that the peer has gone, and not all say it to receive() as well.
            logger.debug("A socket is gone.", exc_info=True)
            self._gone()
        finally:
            self._sender = None
