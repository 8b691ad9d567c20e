"""The queue of frames to a page: one send at a time, and regions only in their latest state."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from functools import cached_property
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from .asgi import Message, Send
from .sending import sending_of_loop

__all__ = ["PING", "PONG", "WHOLE", "Changed", "Outgoing", "dumps", "encode"]

logger = logging.getLogger("djust_presence")

MAX_WAITING_FRAMES = 256
STALLED = 5.0  # seconds for which more may wait: within that time a page that keeps up has read any burst
# The id of the page itself, which is live as a whole where it has no regions of its own.
WHOLE = "*"

Frame = str | Message


def encode(kind: str, **fields: Any) -> str:
    """Return a frame for the browser. Raises ``TypeError`` or ``ValueError`` for values that JSON does not have."""
    frame = dumps({"type": kind, **fields})
    try:
        frame.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which servers cannot send
        frame = dumps({"type": kind, **fields}, ensure_ascii=True)
    return frame


def dumps(value: Any, *, ensure_ascii: bool = False) -> str:
    """Return *value* as JSON, in the form used in frames."""
    return json.dumps(
        value, cls=DjangoJSONEncoder, ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":")
    )


class Changed(dict[str, str]):
    """The html of regions for the browser, by id. Do not change it: several pages may share one."""

    @cached_property
    def frame(self) -> str:
        return encode("render", regions=self)


PING = encode("ping")
PONG = encode("pong")
# Frames that are not queued twice.
ONCE = frozenset({PING, PONG})
REGIONS: Message = {}  # stands in the queue for the regions that wait


class Outgoing:
    """A queue with one send in flight: frames in their order, regions in their latest state.

    *gone* is called when a send fails, as the peer has gone.
    """

    __slots__ = (
        "_first",
        "_gone",
        "_kept_up_at",
        "_regions",
        "_send",
        "_sender",
        "_sending",
        "_waiting",
        "idle",
    )

    def __init__(self, send: Send, gone: Callable[[], None]) -> None:
        self._send = send
        self._gone = gone
        self._sending = sending_of_loop()
        self._sender: asyncio.Task[Any] | None = None  # while a send is in flight
        self._first: Frame | None = None  # the frame whose send has not begun yet
        self._waiting: list[Frame] = []  # the frames behind it
        self._regions: Changed | None = None  # that wait, or None
        self._kept_up_at = 0.0
        self.idle = True

    def put(self, frame: str, now: float) -> bool:
        """Queue *frame*; return False if too much has waited for too long. *now* is in seconds."""
        if len(self._waiting) < MAX_WAITING_FRAMES:
            self._kept_up_at = now
        elif now - self._kept_up_at > STALLED:
            return False
        if frame not in ONCE or (frame not in self._waiting and frame is not self._first):
            self._put(frame)
        return True

    def put_if_idle(self, frame: Frame) -> bool:
        """Send *frame* if nothing is being sent, else return False."""
        if not self.idle:
            return False
        self.idle = False
        self._first = frame
        self._sending.add(self)
        return True

    def show(self, regions: Changed) -> None:
        """Queue *regions*; they replace regions with the same id that wait."""
        if not regions:
            return
        waiting, self._regions = self._regions, regions
        if waiting is None:
            self._put(REGIONS)
        elif WHOLE not in regions:
            self._regions = Changed(waiting | regions)

    def close(self, code: int, reason: str) -> None:
        """Drop the queue, and close."""
        self._drop()
        self._put({"type": "websocket.close", "code": code, "reason": reason})

    def end(self) -> None:
        """Drop the queue, as the peer is gone."""
        self._drop()
        if self._sender is not None:
            self._sender.cancel()

    def _put(self, frame: Frame) -> None:
        if not self.put_if_idle(frame):
            self._waiting.append(frame)

    def _drop(self) -> None:
        self._waiting.clear()
        self._first = self._regions = None

    async def send(self, task: asyncio.Task[Any]) -> None:
        """Send the queue, in the current *task*."""
        self._sender = task
        try:
            while True:
                frame, self._first = self._first, None
                if frame is REGIONS:
                    regions, self._regions = self._regions, None
                    frame = regions and regions.frame
                if frame is not None:
                    await self._send(
                        {"type": "websocket.send", "text": frame} if isinstance(frame, str) else frame
                    )
                if not self._waiting:
                    return
                self._first = self._waiting.pop(0)
        except Exception:
            # Each server says in its own way that the peer has gone, and not all say it to receive() as well.
            logger.debug("A socket is gone.", exc_info=True)
            self._gone()
        finally:
            self._sender = None
            self.idle = True
