"""The ways a connection ends, and the seconds for which its user stays present after each."""

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

    EXPELLED = auto()  # by the server, as the user's access has ended
    CLOSED = auto()  # by the browser, or by the server for good: a reload may follow
    LOST = auto()  # the network broke, or the server gave up the socket: the page reconnects
    RESTART = auto()  # the server stops: the page reconnects to another one

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
    """Return the seconds for which a user who may come back stays present after *ending*."""
    return {
        Ending.EXPELLED: 0.0,
        Ending.CLOSED: settings.grace,
        Ending.LOST: settings.lost_grace,
        Ending.RESTART: settings.drain_grace,
    }[ending]


async def drained(stop: asyncio.Task[None]) -> None:
    """Wait for the end of a drain; it goes on if the server cancels the caller."""
    with suppress(asyncio.CancelledError):
        await asyncio.shield(stop)
