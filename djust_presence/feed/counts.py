"""The times at which pages that show a count are sent it."""

from __future__ import annotations

from math import inf

__all__ = ["Counts"]

INTERVAL = 1.0  # seconds
SENDS_PER_SECOND = 2_000  # of a group in one process


class Counts:
    """At most one frame a second and page, fewer if there are many pages, none while the shown text is the same."""

    def __init__(self) -> None:
        self._last: str | None = None  # the text that pages show
        self._mixed = False  # True if some pages show another text
        self._stale = False
        self._quiet_until = 0.0

    @property
    def due(self) -> float:
        """The time at which a count may have to be sent; infinity if no page needs one."""
        return self._quiet_until if self._stale else inf

    def moved(self, text: str) -> None:
        """Note that the count is shown as *text* from here on."""
        self._stale = self._stale or self._mixed or text != self._last

    def told(self, text: str) -> None:
        """Note that a page got the count as *text* in another frame."""
        self._last = text if self._last is None else self._last
        self._mixed = self._mixed or text != self._last

    def sent(self, text: str, pages: int, now: float) -> None:
        """Note that all pages show *text*, and that so many *pages* were sent it."""
        self._last, self._mixed, self._stale = text, False, False
        if pages:
            self._quiet_until = now + max(INTERVAL, pages / SENDS_PER_SECOND)
