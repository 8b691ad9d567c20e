"""djust's consumer, when a view of its has presence: a session that goes by what happens to the consumer."""

from __future__ import annotations

import asyncio
import json
import logging
from contextvars import Context, copy_context
from functools import cache
from typing import Any

from asgiref.sync import sync_to_async
from django.core.serializers.json import DjangoJSONEncoder
from django.db import close_old_connections

from ..codes import CloseCode
from ..cursor_mixin import LiveCursorMixin
from ..hosts.limits import Limits, Verdict
from ..hosts.outgoing import Outgoing
from ..mixins import PresenceMixin, presence_of
from ..rates import LogLimit
from ..tasks import start
from ..tracker import Ending, Refresh, Session, drained
from .pointer import LONGEST_MOVE, MOVE, PointerConsumer, read_move

__all__ = ["SeatedConsumer", "for_script", "push_event", "seat", "session_of"]

logger = logging.getLogger("djust_presence")

_floods = LogLimit()

PATIENCE = 0.1  # seconds that other sessions wait for one that is busy

Frame = dict[str, Any]

# To djust a push like any other.
REFRESH: Frame = {"type": "server_push", "djust_presence": "refresh"}


def seat(consumer: Any) -> None:
    """Make *consumer* one that has views with presence. On its loop, in its task."""
    if isinstance(consumer, SeatedConsumer):
        return
    kind: type = type(consumer)
    consumer.__class__ = _seated(kind)
    consumer._presence_outgoing = Outgoing(consumer._presence_send, lambda: None)
    consumer._presence_turn = asyncio.Lock()
    consumer._presence_limits = Limits()
    task = asyncio.current_task()
    assert task is not None
    task.add_done_callback(consumer._presence_over)


@cache
def _seated(kind: type) -> type:
    from djust.decorators import event_handler

    event_handler(LiveCursorMixin.cursor_move)  # so that djust, too, takes it for one where it is inherited
    return type(kind.__name__, (SeatedConsumer, kind), {"__module__": kind.__module__})


class SeatedConsumer(PointerConsumer):
    """A djust consumer whose views have presence. Its overrides are all of djust that it relies on."""

    _presence_outgoing: Outgoing
    _presence_limits: Limits
    _presence_context: Context
    _presence_turn: asyncio.Lock  # of what djust does one after the other, but for what takes its render lock
    _presence_due: Refresh | None = None  # what the view has not taken in
    _presence_pusher: asyncio.Task[None] | None = None
    _presence_pushing = False  # whether the push that is under way is ours
    _presence_owed = False  # whether the page has not got what djust's next patch is made for
    _presence_end_of: asyncio.Task[None] | None = None  # the socket, or the server
    _presence_closed = False  # whether we have closed the socket

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
        self._presence_due = None
        self._presence_owed = False
        self._presence_pusher = None  # that of another view comes to its end
        self._presence_point_by(view, session_of(view))
        if session := session_of(view):
            self._presence_context = copy_context()
            session.live()
            if isinstance(view, LiveCursorMixin):
                self.presence_put(for_script("ready", {}))

    def _presence_end(self, view: Any, ending: Ending = Ending.CLOSED) -> None:
        if (session := session_of(view)) and (stop := session.connection.end(ending)):
            self._presence_end_of = stop

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._presence_closed:
            return
        if session := session_of(self.view_instance):
            session.connection.heard()
            if text_data and MOVE in text_data[:40] and len(text_data) <= LONGEST_MOVE:
                if not self._presence_may_move(len(text_data)):
                    return
                try:
                    frame = read_move(text_data)
                except ValueError:
                    return
                if frame:
                    self._presence_take_in(session, frame)
                    return
        async with self._presence_turn:
            await super().receive(text_data=text_data, bytes_data=bytes_data)

    def _presence_may_move(self, size: int) -> bool:
        """Count a move, as djust counts only what it is given. A flood of them closes the socket."""
        verdict = self._presence_limits.judge(asyncio.get_running_loop().time(), size, move=True)
        if verdict is Verdict.CLOSE:
            if (left_out := _floods.line()) is not None:
                logger.warning("A socket of djust was closed: too many frames.%s", left_out)
            self.presence_close(CloseCode.FLOOD)
        return verdict is Verdict.ADMIT

    async def disconnect(self, close_code: int) -> None:
        # First, as djust calls untrack_presence() on its way, which is no wish to leave.
        self._presence_end(self.view_instance, Ending.of(close_code))
        self._presence_outgoing.end()
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
            self._presence_pusher = start(self._presence_push(view), context)
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
        """Return the last rendering, as djust gives it to a page that asks for it."""
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

    # Frames, one after the other

    def presence_put(self, *frames: str) -> None:
        """Send *frames* when their turn comes. A page that does not take them in is cut off, to come back for the whole."""
        now = asyncio.get_running_loop().time()
        if not all(self._presence_outgoing.put(frame, now) for frame in frames):
            self.presence_close(CloseCode.RETRY)

    def presence_point(self, frame: str) -> bool:
        """Send a frame of cursors; return False if something is being sent already."""
        if not self._presence_outgoing.idle:
            return False
        self.presence_put(frame)
        return True

    async def _presence_send(self, message: Frame) -> None:
        await self._send_frame(text_data=message["text"])

    def presence_close(self, code: int, reason: str = "") -> None:
        """Close the socket; whatever becomes of it, its page is not there any more."""
        self._presence_closed = True
        self._presence_outgoing.end()
        self._presence_end(self.view_instance, Ending.of(code, reason))
        self._presence_end_of = start(self._presence_close(code))

    async def _presence_close(self, code: int) -> None:
        try:
            await self.close(int(code))
        except Exception:
            logger.debug("A socket is gone.", exc_info=True)


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
