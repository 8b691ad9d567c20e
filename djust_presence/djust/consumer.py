"""djust's consumer for views with presence: it makes, refreshes and ends their sessions."""

from __future__ import annotations

import asyncio
import json
import logging
from contextvars import Context, copy_context
from functools import cache
from typing import Any

from asgiref.sync import sync_to_async
from django.core.serializers.json import DjangoJSONEncoder

from ..codes import CloseCode
from ..cursor_mixin import LiveCursorMixin
from ..hosts.limits import Limits, Verdict
from ..hosts.outgoing import Outgoing
from ..mixins import presence_of
from ..rates import LogLimit
from ..tasks import start
from ..tracker import Ending, Refresh, Session, drained
from .news import take_in
from .pointer import LONGEST_MOVE, MOVE, PointerConsumer, read_move

__all__ = ["PresenceConsumer", "add_presence", "for_script", "push_event", "session_of"]

logger = logging.getLogger("djust_presence")

_floods = LogLimit()

Frame = dict[str, Any]

# An ordinary push to djust.
REFRESH: Frame = {"type": "server_push", "djust_presence": "refresh"}


def add_presence(consumer: Any) -> None:
    """Let *consumer* have views with presence. Called on its loop, in its task."""
    if isinstance(consumer, PresenceConsumer):
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

    # So that djust takes an inherited one for an event handler too.
    event_handler(LiveCursorMixin.cursor_move)
    return type(kind.__name__, (PresenceConsumer, kind), {"__module__": kind.__module__})


class PresenceConsumer(PointerConsumer):
    """A djust consumer whose views have presence. It relies on nothing of djust but the methods that it overrides."""

    _presence_outgoing: Outgoing
    _presence_limits: Limits
    _presence_context: Context
    _presence_turn: asyncio.Lock  # for work that djust does one after the other, without its render lock
    _presence_due: Refresh | None = None  # news that the view has not got
    _presence_pusher: asyncio.Task[None] | None = None
    _presence_pushing = False  # True while the push under way is ours
    _presence_owed = False  # True while the page lacks the HTML that djust's next patch is made for
    _presence_end_of: asyncio.Task[None] | None = None  # the clean stop that the end of the socket began
    _presence_closed = False  # True once we have closed the socket

    # The live view is the one that djust holds

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
            # Its socket stays open, so that users who count by connection stay: another of their pages may follow.
            session.replaced()
            session.connection.end()
        self._presence_due = None
        self._presence_owed = False
        self._presence_pusher = None  # the pusher of another view ends by itself
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
            _floods.log(logger.warning, "A socket of djust was closed: too many frames.")
            self.presence_close(CloseCode.FLOOD)
        return verdict is Verdict.ADMIT

    async def disconnect(self, close_code: int) -> None:
        # First, as djust then calls untrack_presence(), which does not mean that the user wants to leave.
        self._presence_end(self.view_instance, Ending.of(close_code))
        self._presence_outgoing.end()
        await super().disconnect(close_code)
        if self._presence_end_of:
            await drained(self._presence_end_of)

    def _presence_over(self, task: asyncio.Task[Any]) -> None:
        """Called when the socket's task has ended, in whatever way: a server that stops may just cancel it."""
        self._presence_end(self.view_instance, Ending.RESTART if task.cancelled() else Ending.LOST)

    # Refreshes, by djust's server push

    def presence_refresh(self, view: Any, refresh: Refresh) -> asyncio.Task[None] | None:
        """Give *view* the news of *refresh* and render it, in the task that is returned; None if the view has gone."""
        if view is not self.view_instance:
            return None
        due = self._presence_due
        self._presence_due = Refresh([*due.entries, *refresh.entries]) if due else refresh
        if self._presence_pusher is None:
            # In the view's context variables: the visitor's language, the tenant.
            context = self._presence_context.copy()
            self._presence_pusher = start(self._presence_push(view), context)
        return self._presence_pusher

    async def _presence_push(self, view: Any) -> None:
        """Push without djust's queue: djust delays pushes while it is busy, and drops them when many wait."""
        try:
            before = None
            while (due := self._presence_due) is not None and due is not before:
                async with self._render_lock:
                    pass  # The page's next frames must not wait for this.
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
                await take_in(view, due)
        finally:
            # The page of a restored view came over HTTP: djust has to send it whole, and a push would reset that flag.
            self._presence_owed = getattr(view, "_force_full_html", False)

    async def _send_update(self, *args: Any, **fields: Any) -> None:
        if self._presence_pushing:
            # The page would take a broadcast for new content of its fields, and drop what was typed.
            fields["broadcast"] = False
        if self._presence_owed and fields.get("source") == "broadcast":
            self._presence_owed = False
            fields |= {"patches": None, "html": await sync_to_async(self._presence_whole)()}
        await super()._send_update(*args, **fields)

    def _presence_whole(self) -> str:
        """Return the last rendering, in the form in which djust sends it to a page that asks for it."""
        view = self.view_instance
        return str(view._extract_liveview_content(view._strip_comments_and_whitespace(self._recovery_html)))

    async def presence_check(self, session: Session) -> None:
        """Let djust check whether the visitor may still see the page; if not, it closes the socket."""
        if self._render_lock.locked():
            return  # djust has checked before the work that is under way
        async with self._render_lock:
            if session.open and not await self._reauth_legacy_server_turn(session.owner):
                session.untrack()
                self._presence_end(session.owner)

    # Frames, one after the other

    def presence_put(self, *frames: str) -> None:
        """Send *frames* when their turn comes. The socket of a page that does not read them is closed: it reconnects."""
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
        """Close the socket and end its sessions at once, even if the close cannot be sent."""
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
    """Return a frame that djust's client turns into an event in the page."""
    return json.dumps({"type": "push_event", "event": event, "payload": payload}, cls=DjangoJSONEncoder)


def for_script(kind: str, payload: Any) -> str:
    """Return a frame for our script. djust's client ignores it; a push of djust's own would end the page's loading."""
    return json.dumps({"type": "djust_presence", "kind": kind, "payload": payload}, cls=DjangoJSONEncoder)
