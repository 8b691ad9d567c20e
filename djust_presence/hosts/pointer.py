"""The pointer of one page, on its way to the cursors of its group or to the view's own code."""

from __future__ import annotations

from typing import Any

from ..cursor_mixin import LiveCursorMixin, goes_straight, move_cursor
from ..cursors import Position
from ..tracker import Session

__all__ = ["PagePointer"]


class PagePointer:
    """The latest move of a page. A view with code of its own for moves gets it when it has its turn."""

    __slots__ = ("_nowhere", "_session", "_view", "_waiting")

    def __init__(self, view: LiveCursorMixin, session: Session) -> None:
        self._view = view
        self._session = session
        self._waiting: Position | None = None
        self._nowhere = True  # True if the pointer is not on the surface

    @property
    def waits(self) -> bool:
        """True if a move waits for the view."""
        return self._waiting is not None

    def take_in(self, frame: dict[str, Any]) -> bool:
        """Take in a move; return whether it waits for the view. Raises ``ValueError`` for a malformed one."""
        position = None if frame.get("x", 0) is None else Position.read(frame)
        self._nowhere = position is None
        if position is None or goes_straight(self._view):
            self._waiting = None
            move_cursor(self._session, position)
        else:
            self._waiting = position
        return self.waits

    def take(self) -> Position | None:
        """Return the move that waits, once. From any thread."""
        position, self._waiting = self._waiting, None
        return position

    def taken(self) -> None:
        """Note that the view has handled a move; the pointer may have left meanwhile."""
        if self._nowhere:
            move_cursor(self._session, None)
