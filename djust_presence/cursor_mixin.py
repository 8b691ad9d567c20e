"""What a view inherits to show everybody's pointer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from .cursors import Cursor, CursorTracker, Hub, Position, hub_of
from .errors import PresenceError
from .events import event_handler
from .mixins import PresenceMixin
from .tracker import Session, in_loop

__all__ = ["LiveCursorMixin"]

logger = logging.getLogger("djust_presence")


class LiveCursorMixin(PresenceMixin):
    """Presence with pointers: what is inside ``{% live_cursors %}`` in the template shows everybody's.

    A page sends at most ``presence_cursor_rate`` positions a second, and is sent as many frames with those of all
    others; fewer when there are many of both. Whoever is not present has no pointer.
    """

    presence_cursor_rate: int = 30

    _presence_position: Position | None = None  # what the page has sent, while a handler is at it
    _presence_misplaced = False

    @event_handler()
    def cursor_move(self, x: Any = 0, y: Any = 0, **kwargs: Any) -> Any:
        """The pointer of this page has moved to *x*, *y*, in CSS pixels of the shared surface.

        Overridden, it is called with the latest position only. In *kwargs* are the surface's size, ``w`` and ``h``,
        and what else the page has sent.
        """
        self.handle_cursor_move(x, y)

    def handle_cursor_move(self, x: float, y: float) -> None:
        """Take a position in, and show it: what an overridden ``cursor_move`` calls."""
        self.update_cursor_position(x, y)

    def update_cursor_position(self, x: float, y: float) -> None:
        """Show this page's pointer to the others at *x*, *y*. What are no finite numbers changes nothing."""
        try:
            position = Position.read({"x": x, "y": y})
        except ValueError as error:
            if not self._presence_misplaced:
                self._presence_misplaced = True
                logger.warning("A cursor position of %s was refused: %s", type(self).__qualname__, error)
            return
        if self._presence_position is not None:
            position = self._presence_position.at(*position[:2])
        if self._presence is not None:
            self._presence.clock.call(move_cursor, self._presence, position)

    def get_cursors(self) -> dict[str, Cursor]:
        """By user id, everybody's last position: ``{"x", "y", "timestamp", "meta"}``, *timestamp* in epoch seconds.

        A view that has called this on a live connection is rendered anew when pointers move, twice a second at most.
        """
        session = self._presence
        if session and session.served and (hub := hub_of(session)):
            return hub.read(session)
        if in_loop():
            raise PresenceError(
                "This would ask the cache and hold up the event loop: await aget_cursors() instead."
            )
        return CursorTracker.get_cursors(self._presence_read_key())

    async def aget_cursors(self) -> dict[str, Cursor]:
        session = self._presence
        if session and session.served and (hub := hub_of(session)):
            return hub.read(session)
        return await CursorTracker.aget_cursors(self._presence_read_key())

    @contextmanager
    def _presence_moving(self, position: Position) -> Iterator[dict[str, Any]]:
        """Called by the host around ``cursor_move`` of a view with code of its own, for the params of that."""
        fields = {name: value for name, value in position._asdict().items() if value is not None}
        self._presence_position = position
        try:
            yield {"x": fields.pop("x"), "y": fields.pop("y"), "_data": fields}
        finally:
            self._presence_position = None

    def _presence_listen(self, session: Session) -> None:
        super()._presence_listen(session)
        session.extend(Hub, self.presence_cursor_rate)


OVERRIDABLE = ("cursor_move", "handle_cursor_move", "update_cursor_position")

_straight: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def goes_straight(view: object) -> bool:
    """Whether moves may go to the cursors without a word to *view*, which has no code of its own for them."""
    kind = type(view)
    if kind not in _straight:
        _straight[kind] = all(getattr(kind, name) is getattr(LiveCursorMixin, name) for name in OVERRIDABLE)
    return _straight[kind]


def move_cursor(session: Session, position: Position | None) -> None:
    """The pointer of *session* is there, or (None) nowhere. On its tracker's loop."""
    if hub := hub_of(session):
        hub.move(session, position)
