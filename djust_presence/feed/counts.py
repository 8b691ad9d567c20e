"""When pages that show how many are here are told so."""

from __future__ import annotations

from math import inf

__all__ = ["Counts"]

INTERVAL = 1.0  # seconds
SENDS_PER_SECOND = 2_000  # of a group in one process


class Counts:
    """At most one frame a second and page, fewer if there are many pages, none while the shown text is the same."""

    def __init__(self) -> None:
        self._last: str | None = None  # the text that pages show
        self._mixed = False  # whether some show another one
        self._stale = False
        self._quiet_until = 0.0

    @property
    def due(self) -> float:
        """The time at which some page may have to be told; infinity if none has."""
        return self._quiet_until if self._stale else inf

    def moved(self, text: str) -> None:
        """The number is shown as *text* from here on."""
        self._stale = self._stale or self._mixed or text != self._last

    def told(self, text: str) -> None:
        """Some page was told in another way."""
        self._last = text if self._last is None else self._last
        self._mixed = self._mixed or text != self._last

    def sent(self, text: str, pages: int, now: float) -> None:
        """All pages show *text*: so many had to be told."""
        self._last, self._mixed, self._stale = text, False, False
        if pages:
            self._quiet_until = now + max(INTERVAL, pages / SENDS_PER_SECOND)
