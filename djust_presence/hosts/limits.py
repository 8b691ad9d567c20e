"""The limits on what a page may send."""

from __future__ import annotations

from ..rates import TokenBucket

__all__ = ["FLOOD_PER_SECOND", "FRAMES_PER_SECOND", "Limits"]

FRAMES_PER_SECOND = 100
FLOOD_PER_SECOND = 1000


class Limits:
    """The limits of one page. Each method counts what it is asked about; *now* is in seconds."""

    __slots__ = ("_flood", "_frames", "_lines")

    def __init__(self) -> None:
        self._frames = TokenBucket(FRAMES_PER_SECOND, 2 * FRAMES_PER_SECOND)
        self._flood = TokenBucket(FLOOD_PER_SECOND, 2 * FLOOD_PER_SECOND)
        self._lines = TokenBucket(1, 1)

    def is_flood(self, now: float) -> bool:
        """Return whether this frame, whatever it says, is one too many to keep the page."""
        return not self._flood.take(now)

    def may_speak(self, now: float) -> bool:
        return self._frames.take(now)

    def may_move(self, now: float) -> bool:
        """Moves leave half of the burst to the rest, so a restless pointer keeps no click from its handler."""
        return self._frames.take(now, leaving=FRAMES_PER_SECOND)

    def may_log(self, now: float) -> bool:
        """Return whether a refusal gets a line in the log."""
        return self._lines.take(now)
