"""The limits on what a page may send."""

from __future__ import annotations

from enum import Enum, auto

from ..rates import TokenBucket

__all__ = [
    "BYTES_PER_SECOND",
    "FLOOD",
    "FRAMES_PER_SECOND",
    "MAX_FRAME_BYTES",
    "MAX_WAITING_BYTES",
    "USELESS_FRAMES",
    "Limits",
    "Verdict",
]

MAX_FRAME_BYTES = 64 * 1024
MAX_WAITING_BYTES = 4 * MAX_FRAME_BYTES  # of frames that wait for their turn
FRAMES_PER_SECOND = 100
BYTES_PER_SECOND = 4 * MAX_FRAME_BYTES
FLOOD = 10  # times the allowed frames or bytes, which close the socket
USELESS_FRAMES = (
    20  # useless frames, or excesses of 64 KB, that close the socket; one more is allowed each second
)


class Verdict(Enum):
    """The fate of a frame."""

    ADMIT = auto()
    REFUSE = auto()
    CLOSE = auto()  # drop it, and close the socket


class Limits:
    """The limits of one page, applied before a frame is read. *now* is in seconds, *size* in bytes."""

    __slots__ = ("_bytes", "_flood", "_flood_bytes", "_frames", "_lines", "_useless")

    def __init__(self) -> None:
        self._frames = TokenBucket(FRAMES_PER_SECOND, 2 * FRAMES_PER_SECOND)
        self._bytes = TokenBucket(BYTES_PER_SECOND, 2 * BYTES_PER_SECOND)
        self._flood = TokenBucket(FLOOD * FRAMES_PER_SECOND, 2 * FLOOD * FRAMES_PER_SECOND)
        self._flood_bytes = TokenBucket(FLOOD * BYTES_PER_SECOND, 2 * FLOOD * BYTES_PER_SECOND)
        self._useless: TokenBucket | None = None  # made on demand, as few pages need it
        self._lines: TokenBucket | None = None

    def judge(self, now: float, size: int, *, move: bool = False) -> Verdict:
        """Count a frame and return what to do with it.

        Moves leave half of the burst to the rest, so a restless pointer keeps no click from its handler.
        """
        size = min(size, MAX_FRAME_BYTES)
        if not (self._flood.take(now) and self._flood_bytes.take(now, amount=size)):
            return Verdict.CLOSE
        if not self._frames.take(now, leaving=FRAMES_PER_SECOND if move else 0):
            return Verdict.REFUSE
        if self._bytes.take(now, amount=size):
            return Verdict.ADMIT
        return self.blame(now, size / MAX_FRAME_BYTES)

    def blame(self, now: float, weight: float = 1) -> Verdict:
        """Count a useless frame, and return what to do with it."""
        if self._useless is None:
            self._useless = TokenBucket(1, USELESS_FRAMES)
        return Verdict.REFUSE if self._useless.take(now, amount=weight) else Verdict.CLOSE

    def may_log(self, now: float) -> bool:
        """Return whether a refusal gets a line in the log."""
        if self._lines is None:
            self._lines = TokenBucket(1, 1)
        return self._lines.take(now)
