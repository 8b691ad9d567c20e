"""The ways a connection ends, and for how long its user stays present after each."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import Enum, auto

from ..codes import CloseCode
from ..conf import Settings

__all__ = ["Ending", "drained", "grace_after"]

EXPELLED = {CloseCode.LOG_IN, CloseCode.FORBIDDEN, CloseCode.NOT_FOUND}
CLOSED = {CloseCode.NORMAL, CloseCode.LEFT, CloseCode.BAD_REQUEST, CloseCode.FLOOD}
SILENT = (CloseCode.RETRY, "timeout")


class Ending(Enum):
    """The way a connection has ended."""

    EXPELLED = auto()  # by the server: its user may not be here any more
    CLOSED = auto()  # by the browser, or by the server for good: a page may be loaded again
    LOST = auto()  # a path broke, or a socket was given up: the page tries again
    RESTART = auto()  # the server stops: the page comes back to another one

    @classmethod
    def of(cls, code: int, reason: str = "") -> Ending:
        """Return the ending of a socket that was closed with *code*, and *reason* if the server closed it.

        Servers report a broken path as 1006, and some as 1005 or otherwise.
        """
        if code in EXPELLED:
            return cls.EXPELLED
        if code in CLOSED or (code, reason) == SILENT:
            return cls.CLOSED
        return cls.RESTART if code == CloseCode.GOING_AWAY else cls.LOST


def grace_after(ending: Ending, settings: Settings) -> float:
    """Return for how many seconds after *ending* a user who may come back is still present."""
    return {
        Ending.EXPELLED: 0.0,
        Ending.CLOSED: settings.grace,
        Ending.LOST: settings.lost_grace,
        Ending.RESTART: settings.drain_grace,
    }[ending]


async def drained(stop: asyncio.Task[None]) -> None:
    """Wait for the end of a drain, which goes on if the server has no more time for whoever waits."""
    with suppress(asyncio.CancelledError):
        await asyncio.shield(stop)
