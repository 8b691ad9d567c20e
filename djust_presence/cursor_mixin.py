"""``LiveCursorMixin``: everybody's cursor in a live view."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any
from weakref import WeakKeyDictionary

from .cursors import Cursor, CursorTracker, LiveCursors, Position, live_cursors_of
from .events import event_handler
from .greenlets import holds_up
from .mixins import PresenceMixin
from .tracker import Session, in_loop
from .view_presence import ViewPresence

__all__ = ["LiveCursorMixin", "ViewCursors", "cursors_of", "goes_straight", "move_cursor"]

logger = logging.getLogger("djust_presence")


class ViewCursors(ViewPresence):
    """The presence of a view with cursors."""

    __slots__ = ("_position", "_refusal_logged")

    view: LiveCursorMixin

    def __init__(self, view: LiveCursorMixin) -> None:
        super().__init__(view)
        self._position: Position | None = None  # as the page sent it, while a handler runs
        self._refusal_logged = False

    def listen(self, session: Session) -> None:
        super().listen(session)
        session.extend(LiveCursors, self.view.presence_cursor_rate)

    def point(self, x: float, y: float) -> None:
        """Move the cursor of the view's page to *x*, *y*."""
        try:
            position = Position.read({"x": x, "y": y})
        except ValueError as error:
            if not self._refusal_logged:
                self._refusal_logged = True
                logger.warning("A cursor position of %s was refused: %s", type(self.view).__qualname__, error)
            return
        if self._position is not None:
            position = self._position.at(*position[:2])
        if self.session is not None:
            self.session.clock.call(move_cursor, self.session, position)

    @contextmanager
    def moving(self, position: Position) -> Iterator[dict[str, Any]]:
        """Yield the arguments for a call of the view's own ``cursor_move``, made by the host in this block."""
        fields = {name: value for name, value in position._asdict().items() if value is not None}
        self._position = position
        try:
            yield {"x": fields.pop("x"), "y": fields.pop("y"), "_data": fields}
        finally:
            self._position = None

    def live_cursors(self) -> Callable[[], dict[str, Cursor]] | None:
        """Return a function that reads the cursors from memory; None if this process does not serve the group."""
        session = self.session
        cursors = live_cursors_of(session) if session and session.served else None
        return partial(cursors.read, session) if cursors and session else None


class LiveCursorMixin(PresenceMixin):
    """Presence with cursors: the element inside ``{% live_cursors %}`` in the template shows everybody's.

    A page sends at most ``presence_cursor_rate`` positions a second, and is sent as many frames with those of all
    others; fewer when there are many cursors and pages. Visitors who are not present have no cursor.
    """

    presence_cursor_rate: int = 30

    _presence = cached_property(ViewCursors)

    @event_handler()
    def cursor_move(self, x: Any = 0, y: Any = 0, **kwargs: Any) -> Any:
        """Handle a move of this page's pointer to *x*, *y*, in CSS pixels of the shared surface.

        An override is called with the latest position only. *kwargs* has the surface's size, ``w`` and ``h``, and the
        other fields that the page has sent.
        """
        self.handle_cursor_move(x, y)

    def handle_cursor_move(self, x: float, y: float) -> None:
        """Accept a position and show it: for an overridden ``cursor_move``."""
        self.update_cursor_position(x, y)

    def update_cursor_position(self, x: float, y: float) -> None:
        """Show this page's cursor to the others at *x*, *y*. Values that are not finite numbers change nothing."""
        self._presence.point(x, y)

    def get_cursors(self) -> dict[str, Cursor]:
        """Return the cursors by user id: ``{"x", "y", "timestamp", "meta"}``, *timestamp* in epoch seconds.

        A view that has called this on a live connection is rendered again when cursors move, twice a second at most.
        """
        if cursors := self._presence.live_cursors():
            return cursors()
        if in_loop():
            raise holds_up(
                "This would ask the cache and hold up the event loop: await aget_cursors() instead."
            )
        return CursorTracker.get_cursors(self._presence.read_key())

    async def aget_cursors(self) -> dict[str, Cursor]:
        if cursors := self._presence.live_cursors():
            return cursors()
        return await CursorTracker.aget_cursors(self._presence.read_key())


OVERRIDABLE = ("cursor_move", "handle_cursor_move", "update_cursor_position")

_straight: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def goes_straight(view: object) -> bool:
    """Return whether moves of *view* go to the cursors directly, as it has no code of its own for them."""
    kind = type(view)
    if kind not in _straight:
        _straight[kind] = all(getattr(kind, name) is getattr(LiveCursorMixin, name) for name in OVERRIDABLE)
    return _straight[kind]


def move_cursor(session: Session, position: Position | None) -> None:
    """Move the cursor of *session*, or (None) remove it. On its tracker's loop."""
    if cursors := live_cursors_of(session):
        cursors.move(session, position)


def cursors_of(view: LiveCursorMixin) -> ViewCursors:
    """Return the presence of a view with cursors: for its host."""
    return view._presence
