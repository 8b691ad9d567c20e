"""The cursors that a page draws after the frames that it was sent: the client's side of the protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Drawing:
    """The cursors of a page."""

    def __init__(self) -> None:
        self.you: str | None = None
        self.rate = 0
        self._who: dict[int, dict[str, Any]] = {}
        self._at: dict[int, Sequence[Any]] = {}

    def take(self, frame: Mapping[str, Any]) -> Drawing:
        self.you = frame.get("you", self.you)
        self.rate = frame.get("rate", self.rate)
        moves = {number: position for number, *position in frame.get("moves", [])}
        if frame.get("all"):
            self._who.clear()
            self._at.clear()
        self._who |= {int(number): who for number, who in frame.get("who", {}).items()}
        self._at |= moves
        for number in frame.get("gone", []):
            self._at.pop(number, None)
            self._who.pop(number, None)
        return self

    @property
    def shown(self) -> dict[str, list[Sequence[Any]]]:
        """The positions that are drawn, by name."""
        drawn: dict[str, list[Sequence[Any]]] = {}
        for number, position in self._at.items():
            who = self._who.get(number)
            if who and who["id"] != self.you:
                drawn.setdefault(who.get("name", ""), []).append(position)
        return {name: sorted(positions, key=str) for name, positions in drawn.items()}
