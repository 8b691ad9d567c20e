"""The pointer of a djust page: its moves skip djust's limit on frames, but not djust's check of events."""

from __future__ import annotations

import asyncio
import logging
from types import MethodType
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from ..cursor_mixin import LiveCursorMixin, cursors_of
from ..cursors import Position
from ..events import ArgumentError, bind
from ..hosts.pointer import PagePointer
from ..rates import user_code
from ..state.json_text import decode
from ..tasks import start
from ..tracker import Session

__all__ = ["LONGEST_MOVE", "MOVE", "PointerConsumer", "read_move"]

logger = logging.getLogger("djust_presence")

if TYPE_CHECKING:
    Consumer = Any
else:
    Consumer = object

Frame = dict[str, Any]

# djust's name for a move of a page's pointer. Our script adds "cursors" if it draws those of others.
MOVE = "cursor_move"
LONGEST_MOVE = 4096  # characters
TICK = 1 / 30
REFUSED = 1.0  # seconds after a refused move until djust is asked again


def read_move(text: str) -> Frame | None:
    """Return the frame in *text*, None if it is not a move. Raises ``ValueError`` if it is not a frame."""
    frame = decode(text)
    return frame if isinstance(frame, dict) and frame.get("type") == MOVE else None


class PointerConsumer(Consumer):  # type: ignore[misc]
    """A djust consumer that takes in moves of its page's pointer."""

    view_instance: Any
    _presence_pointer: PagePointer | None = None  # of a view with cursors
    _presence_mover: asyncio.Task[None] | None = None

    def _presence_point_by(self, view: Any, session: Session | None) -> None:
        """Note that the page shows *view* from here on."""
        cursors = session and isinstance(view, LiveCursorMixin)
        self._presence_pointer = PagePointer(view, session) if session and cursors else None
        self._presence_mover = None  # the mover of another view ends by itself

    def _presence_take_in(self, session: Session, frame: Frame) -> None:
        """Take a frame in. A malformed one is dropped."""
        pointer = self._presence_pointer
        if pointer is None:
            return
        if frame.get("cursors"):
            session.show_cursors()
            return
        try:
            waits = pointer.take_in(frame)
        except ValueError:
            return
        if waits and self._presence_mover is None:
            self._presence_mover = start(self._presence_move(session, pointer))

    async def _presence_move(self, session: Session, pointer: PagePointer) -> None:
        """Let the view's own code take in the latest move, once a tick at most."""
        view: LiveCursorMixin = session.owner
        try:
            while self.view_instance is view and pointer.waits:
                allowed = False
                try:
                    async with self._render_lock:
                        allowed = await self._presence_moved(session, view, pointer)
                except Exception:
                    pointer.take()
                    name = type(view).__qualname__
                    user_code.log(logger.exception, "A move for %s could not be handled.", name, of=name)
                if allowed and self.view_instance is view:
                    await self._dispatch_async_work(event_name=None)
                await asyncio.sleep(TICK if allowed else REFUSED)
        finally:
            if self._presence_mover is asyncio.current_task():
                self._presence_mover = None

    async def _presence_moved(self, session: Session, view: LiveCursorMixin, pointer: PagePointer) -> bool:
        """Handle a move as djust handles an event, without an answer. Return whether it was allowed."""
        from djust.websocket_utils import _validate_event_security

        handler: Any = None
        if self.view_instance is view and await self._reauth_legacy_server_turn(view):
            unheard: Any = RefusalListener(self)
            handler = await _validate_event_security(unheard, MOVE, view, unheard)
        if self.view_instance is not view:
            return False
        position = pointer.take()
        if handler is None:
            return False
        if position and await sync_to_async(_take_in)(view, handler, position):
            session.refresh()
        pointer.taken()
        await self._flush_all_pending()
        return True


class RefusalListener:
    """A stand-in for djust's socket in its check of a move: it notes a refusal, and counts none."""

    warnings = max_warnings = 0

    def __init__(self, consumer: Any) -> None:
        self._client_ip = consumer._client_ip

    async def send_error(self, *args: Any, **context: Any) -> None:
        pass

    def should_disconnect(self) -> bool:
        return False


def _take_in(view: LiveCursorMixin, handler: MethodType, position: Position) -> bool:
    """Let the view's own code take a move in, in a thread; return whether that changes its page."""
    from djust.websocket import _resolve_skip_render, _snapshot_assigns

    before = _snapshot_assigns(view)
    with cursors_of(view).moving(position) as params:
        try:
            cursors_of(view).call(handler, **bind(handler, params))
        except ArgumentError as error:
            name = type(view).__qualname__
            user_code.log(logger.warning, "A move for %s was refused: %s", name, error, of=name)
    forced = getattr(view, "_force_full_html", False)
    return not _resolve_skip_render(view) and (forced or before != _snapshot_assigns(view))
