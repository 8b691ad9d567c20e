"""djust's consumer, when a view of its has presence: a session that goes by what happens to the consumer."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from contextvars import Context, copy_context
from functools import cache
from types import MethodType
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core.serializers.json import DjangoJSONEncoder
from django.db import close_old_connections

from ..codes import CloseCode
from ..cursor_mixin import LiveCursorMixin, cursors_of, goes_straight, move_cursor
from ..cursors import Position
from ..events import ArgumentError, bind
from ..mixins import PresenceMixin, presence_of
from ..tracker import Ending, Refresh, Session, drained

__all__ = ["SeatedConsumer", "for_script", "push_event", "seat", "session_of"]

logger = logging.getLogger("djust_presence")

MAX_WAITING_FRAMES = 256
STALLED = 5.0  # seconds for which more may wait, as a page that keeps up takes any burst in
MAX_MOVES = 100  # a second
LONGEST_MOVE = 4096  # characters
TICK = 1 / 30
REFUSED = 1.0  # seconds until it is asked again whether the view takes moves
PATIENCE = 0.1  # seconds that other sessions wait for one that is busy

Frame = dict[str, Any]

# To djust a push like any other.
REFRESH: Frame = {"type": "server_push", "djust_presence": "refresh"}
# What djust lets a page say of its pointer. Our script says more: with "cursors" that it draws those of others.
MOVE = "cursor_move"

if TYPE_CHECKING:
    Consumer = Any
else:
    Consumer = object


def seat(consumer: Any) -> None:
    """Make *consumer* one that has views with presence. On its loop, in its task."""
    if isinstance(consumer, SeatedConsumer):
        return
    kind: type = type(consumer)
    consumer.__class__ = _seated(kind)
    consumer._presence_frames = deque()
    consumer._presence_turn = asyncio.Lock()
    task = asyncio.current_task()
    assert task is not None
    task.add_done_callback(consumer._presence_over)


@cache
def _seated(kind: type) -> type:
    from djust.decorators import event_handler

    event_handler(LiveCursorMixin.cursor_move)  # so that djust, too, takes it for one where it is inherited
    return type(kind.__name__, (SeatedConsumer, kind), {"__module__": kind.__module__})


class SeatedConsumer(Consumer):  # type: ignore[misc]
    """What a consumer of djust's becomes. What it overrides is all of djust that it relies on."""

    _presence_frames: deque[str]
    _presence_sender: asyncio.Task[None] | None = None
    _presence_kept_up_at = 0.0
    _presence_context: Context
    _presence_turn: asyncio.Lock  # of what djust does one after the other, but for what takes its render lock
    _presence_due: Refresh | None = None  # what the view has not taken in
    _presence_pusher: asyncio.Task[None] | None = None
    _presence_pushing = False  # whether the push that is under way is ours
    _presence_owed = False  # whether the page has not got what djust's next patch is made for
    _presence_position: Position | None = None  # a move that the view has not taken in
    _presence_mover: asyncio.Task[None] | None = None
    _presence_moves = 0  # in the second that began at
    _presence_second = 0.0
    _presence_end_of: asyncio.Task[None] | None = None  # the socket, or the server

    # The view that djust holds is the one that is live

    @property
    def view_instance(self) -> Any:
        return self.__dict__.get("view_instance")

    @view_instance.setter
    def view_instance(self, view: Any) -> None:
        before = self.view_instance
        self.__dict__["view_instance"] = view
        if view is before:
            return
        if session := session_of(before):
            # Its socket is still there, and with it whoever counts per connection: another page of theirs may follow.
            session.replaced()
            session.connection.end()
        self._presence_due = self._presence_position = None
        self._presence_owed = False
        self._presence_pusher = self._presence_mover = None  # those of another view come to their end
        if session := session_of(view):
            self._presence_context = copy_context()
            session.live()
            if isinstance(view, LiveCursorMixin):
                self.presence_put(for_script("ready", {}))

    def _presence_end(self, view: Any, ending: Ending = Ending.CLOSED) -> None:
        if (session := session_of(view)) and (stop := session.connection.end(ending)):
            self._presence_end_of = stop

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if session := session_of(self.view_instance):
            session.connection.heard()
            if text_data and MOVE in text_data[:40] and (frame := _read_move(text_data)):
                self._presence_take_in(session, frame)
                return
        async with self._presence_turn:
            await super().receive(text_data=text_data, bytes_data=bytes_data)

    async def disconnect(self, close_code: int) -> None:
        # First, as djust calls untrack_presence() on its way, which is no wish to leave.
        self._presence_end(self.view_instance, Ending.of(close_code))
        self._presence_frames.clear()
        await super().disconnect(close_code)
        if self._presence_end_of:
            await drained(self._presence_end_of)

    def _presence_over(self, task: asyncio.Task[Any]) -> None:
        """The task of the socket has ended, in whatever way: a server that stops may just cancel it."""
        self._presence_end(self.view_instance, Ending.RESTART if task.cancelled() else Ending.LOST)

    # Refreshes, by way of a server push

    async def presence_refresh(self, view: Any, refresh: Refresh) -> None:
        """Have *view* take *refresh* in and rendered; returns before that if its page is busy."""
        if view is not self.view_instance:
            return
        due = self._presence_due
        self._presence_due = Refresh([*due.entries, *refresh.entries]) if due else refresh
        if self._presence_pusher is None:
            # In what surrounds the view: the visitor's language, the tenant.
            context = self._presence_context.copy()
            loop = asyncio.get_running_loop()
            self._presence_pusher = loop.create_task(self._presence_push(view), context=context)
        await asyncio.wait([self._presence_pusher], timeout=PATIENCE)

    async def _presence_push(self, view: Any) -> None:
        """By ourselves, as djust would put a push off while it is busy, and drop it when many others are."""
        try:
            before = None
            while (due := self._presence_due) is not None and due is not before:
                async with self._render_lock:
                    pass  # Nobody who waits for it may hold up the frames of the page.
                async with self._presence_turn:
                    if self.view_instance is not view:
                        return
                    if self._render_lock.locked():
                        continue
                    before = self._presence_due
                    await self._render_lock.acquire()
                    self._presence_pushing = True
                    try:
                        await self._run_server_push_turn(REFRESH)  # which releases the lock
                    finally:
                        self._presence_pushing = False
        finally:
            if self._presence_pusher is asyncio.current_task():
                self._presence_pusher = None

    async def _apply_server_push(self, view: Any, event: Frame) -> None:
        try:
            if event is not REFRESH:
                await super()._apply_server_push(view, event)
            elif due := self._presence_due:
                self._presence_due = None
                await sync_to_async(_take_in)(view, due)
        finally:
            # A restored view's page has come over HTTP: djust owes it a whole one, and would forget that by a push.
            self._presence_owed = getattr(view, "_force_full_html", False)

    async def _send_update(self, *args: Any, **fields: Any) -> None:
        if self._presence_pushing:
            # The page would take a broadcast for somebody's new content of its fields, and drop what was typed.
            fields["broadcast"] = False
        if self._presence_owed and fields.get("source") == "broadcast":
            self._presence_owed = False
            fields |= {"patches": None, "html": await sync_to_async(self._presence_whole)()}
        await super()._send_update(*args, **fields)

    def _presence_whole(self) -> str:
        """What has been rendered last, as djust gives it to a page that asks for it."""
        view = self.view_instance
        return str(view._extract_liveview_content(view._strip_comments_and_whitespace(self._recovery_html)))

    async def presence_check(self, session: Session) -> None:
        """Have djust see whether the visitor may still be there; if not, it closes the socket."""
        if self._render_lock.locked():
            return  # whatever goes on there has been preceded by that
        async with self._render_lock:
            if session.open and not await self._reauth_legacy_server_turn(session.owner):
                session.untrack()
                self._presence_end(session.owner)

    # Pointers

    def _presence_take_in(self, session: Session, frame: Frame) -> None:
        """What the page says of pointers, which djust's own limit on frames would cut its socket for."""
        now = session.clock.now
        if now - self._presence_second >= 1:
            self._presence_second, self._presence_moves = now, 0
        self._presence_moves += 1
        if self._presence_moves > MAX_MOVES or not isinstance(session.owner, LiveCursorMixin):
            return
        if frame.get("cursors"):
            session.show_cursors()
            return
        try:
            position = None if frame.get("x", 0) is None else Position.read(frame)
        except ValueError:
            return
        if position is None or goes_straight(session.owner):
            self._presence_position = None
            move_cursor(session, position)
        else:
            self._presence_position = position
            if self._presence_mover is None:
                self._presence_mover = asyncio.create_task(self._presence_move(session.owner))

    async def _presence_move(self, view: LiveCursorMixin) -> None:
        """Let the view's own code take in where the pointer is by then, once a tick at most."""
        try:
            while self.view_instance is view and self._presence_position is not None:
                allowed = False
                try:
                    async with self._render_lock:
                        allowed = self.view_instance is view and await self._presence_moved(view)
                except Exception:
                    self._presence_position = None
                    logger.exception("A move for %s could not be taken in.", type(view).__qualname__)
                if allowed and self.view_instance is view:
                    await self._dispatch_async_work(event_name=None)
                await asyncio.sleep(TICK if allowed else REFUSED)
        finally:
            if self._presence_mover is asyncio.current_task():
                self._presence_mover = None

    async def _presence_moved(self, view: LiveCursorMixin) -> bool:
        """Do what djust does about an event, but answer it. Returns whether it was allowed."""
        from djust.websocket_utils import _validate_event_security

        handler: Any = None
        if await self._reauth_legacy_server_turn(view):
            unheard: Any = Unheard(self)
            handler = await _validate_event_security(unheard, MOVE, view, unheard)
        if self.view_instance is not view:
            return False
        position, self._presence_position = self._presence_position, None
        if handler is None:
            return False
        if position and await sync_to_async(_take_in_move)(view, handler, position):
            if session := session_of(view):
                session.refresh()
        await self._flush_all_pending()
        return True

    # Frames, one after the other

    def presence_put(self, *frames: str) -> None:
        """Send *frames* when their turn comes. Whoever does not take them in is cut off, to come back for the whole."""
        now = asyncio.get_running_loop().time()
        if len(self._presence_frames) < MAX_WAITING_FRAMES:
            self._presence_kept_up_at = now
        elif now - self._presence_kept_up_at > STALLED:
            self.presence_close(CloseCode.RETRY)
            return
        self._presence_frames.extend(frames)
        if self._presence_sender is None:
            self._presence_sender = asyncio.create_task(self._presence_send())

    def presence_point(self, frame: str) -> bool:
        """Send a frame of cursors; False if something is being sent already."""
        if self._presence_sender is not None:
            return False
        self.presence_put(frame)
        return True

    async def _presence_send(self) -> None:
        try:
            while self._presence_frames:
                await self._send_frame(text_data=self._presence_frames.popleft())
        except Exception:
            logger.debug("A socket is gone.", exc_info=True)
        finally:
            self._presence_sender = None

    def presence_close(self, code: int, reason: str = "") -> None:
        """Close the socket; whatever becomes of it, its page is not there any more."""
        self._presence_frames.clear()
        self._presence_end(self.view_instance, Ending.of(code, reason))
        self._presence_end_of = asyncio.create_task(self._presence_close(code))

    async def _presence_close(self, code: int) -> None:
        try:
            await self.close(int(code))
        except Exception:
            logger.debug("A socket is gone.", exc_info=True)


class Unheard:
    """Whom djust tells that a move is refused, and counts refusals for: the pointer goes on moving all the same."""

    warnings = max_warnings = 0

    def __init__(self, consumer: Any) -> None:
        self._client_ip = consumer._client_ip

    async def send_error(self, *args: Any, **context: Any) -> None:
        pass

    def should_disconnect(self) -> bool:
        return False


def session_of(view: Any) -> Session | None:
    presence = presence_of(view)
    return presence.session if presence else None


def push_event(event: str, payload: Any) -> str:
    """A frame that djust's client makes an event in the page of."""
    return json.dumps({"type": "push_event", "event": event, "payload": payload}, cls=DjangoJSONEncoder)


def for_script(kind: str, payload: Any) -> str:
    """A frame for our script. djust's client passes over it, where a push of its own would end the page's loading."""
    return json.dumps({"type": "djust_presence", "kind": kind, "payload": payload}, cls=DjangoJSONEncoder)


def _take_in(view: PresenceMixin, refresh: Refresh) -> None:
    """In a thread."""
    close_old_connections()  # as Channels does only before what it hands on itself
    if presence := presence_of(view):
        presence.take_in(refresh)


def _read_move(text: str) -> Frame | None:
    if len(text) > LONGEST_MOVE:
        return None
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return frame if isinstance(frame, dict) and frame.get("type") == MOVE else None


def _take_in_move(view: LiveCursorMixin, handler: MethodType, position: Position) -> bool:
    """Let the view's own code take a move in. In a thread. Returns whether the view is to be rendered by that."""
    from djust.websocket import _resolve_skip_render, _snapshot_assigns

    before = _snapshot_assigns(view)
    with cursors_of(view).moving(position) as params:
        try:
            cursors_of(view).call(handler, **bind(handler, params))
        except ArgumentError as error:
            logger.warning("A move for %s was refused: %s", type(view).__qualname__, error)
    forced = getattr(view, "_force_full_html", False)
    return not _resolve_skip_render(view) and (forced or before != _snapshot_assigns(view))
