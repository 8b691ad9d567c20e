"""The decision, from lost probes, when to add the channel to all groups again."""

from __future__ import annotations

__all__ = ["Losses"]


class Losses:
    """Counts probes lost in a row: the channel is added again ever more rarely, unless that helps.

    A slow layer, or a full channel, loses probes as well, and adding the channel again is of no use there.
    """

    def __init__(self) -> None:
        self._in_a_row = 0

    def returned(self) -> None:
        """Count a probe that came back."""
        self._in_a_row = 0

    def lost(self) -> bool:
        """Count a lost probe; True for the first, the second, the fourth, the eighth … in a row."""
        self._in_a_row += 1
        return self._in_a_row & (self._in_a_row - 1) == 0
