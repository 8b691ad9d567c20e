"""A live page: the turns at its view, and the work that waits for one."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

from django.http import HttpResponse

from ..background import own_thread
from ..codes import CloseCode
from ..cursor_mixin import LiveCursorMixin
from ..events import ArgumentError, bind, find_handler
from ..hosts import sessions
from ..hosts.access import Visitor
from ..hosts.limits import MAX_WAITING_BYTES
from ..hosts.outgoing import encode
from ..hosts.pointer import PagePointer
from ..hosts.request import LiveRequest
from ..hosts.socket import Socket
from ..hosts.surroundings import Surroundings
from ..hosts.threads import spawn
from ..hosts.turns import Sender
from ..hosts.users import refresh_users
from ..hosts.workers import workers
from ..mixins import presence_of
from ..rates import user_code
from ..tracker import Refresh
from .access import Check
from .code import Update, ViewCode
from .event import EventFrame, read_event
from .moves import moves_of_loop

__all__ = ["LivePage"]

logger = logging.getLogger("djust_presence")

MAX_WAITING_EVENTS = 100
LONGEST_NAME = 80  # characters of an event's name in the log
WHAT_FAILED = {
    "failed": "The event could not be handled; the server's log has the traceback.",
    "forbidden": "This is not allowed.",
}


class LivePage:
    """The page behind a socket. One piece of user code at a time runs for its view."""

    __slots__ = (
        "_check",
        "_inbox",
        "_pointer",
        "_refreshes",
        "_user",
        "busy",
        "code",
        "request",
        "session",
        "slow",
        "socket",
        "surroundings",
        "view",
        "visitor",
    )

    kinds = frozenset({"event", "page", "cursor", "cursors"})
    visitor: Visitor

    def __init__(self, view: Any, request: LiveRequest, surroundings: Surroundings | None) -> None:
        self.view, self.surroundings = view, surroundings
        self.socket: Socket | None = None
        self.slow = False  # True if the last move took the view long
        self.code = ViewCode(view, request)
        self.session = request.connection.session(self)
        self.request = request
        self._inbox: list[EventFrame] = []
        self._refreshes: list[Refresh] = []
        self._check: Check | None = None
        self._user: Any = None  # fetched since the view's last turn
        self.busy = False  # True while code runs for the view
        self._pointer = PagePointer(view, self.session) if isinstance(view, LiveCursorMixin) else None

    def mount(self, *args: Any, **kwargs: Any) -> HttpResponse:
        """Mount and render the view, in its thread; the response goes through the middleware."""
        request = self.request
        sessions.move_in(request)
        if presence := presence_of(self.view):
            presence.connect(self.session)
        self.code.mount(*args, **kwargs)
        self.visitor = Visitor.of(request)
        if not sessions.finish(request):
            return HttpResponse(status=401)  # the session ended while the page was mounted
        response = HttpResponse()
        request.go_live(self, response)
        return response

    def begin(self, socket: Socket) -> None:
        """Begin on the open *socket*."""
        self.socket = socket
        socket.add(self)
        self._show(Update(self.code.shown.first(), self.code.take_pushed()))
        self.session.live()

    def user_is(self, user: Any) -> None:
        self._user = user
        if not self.busy:
            self._take_in_user()

    def _take_in_user(self) -> None:
        """Refresh the user while no code runs for the view: a handler must not see its user change."""
        user, self._user = self._user, None
        if user is not None:
            refresh_users(self.request, user)

    def check(self, check: Check) -> None:
        """Let the view do *check* in its next turn, before any event."""
        self._check = check
        self._go_on()

    @property
    def sender(self) -> Sender:
        """The visitor for whom its work counts, in the turns for workers."""
        sender, user = self.request.sender, self.visitor.user_id
        return sender if user is None else sender._replace(visitor=("user", user))

    @property
    def over(self) -> bool:
        return self.socket is None or self.socket.over

    # Incoming

    def take_in(self, frame: dict[str, Any], size: int) -> None:
        match frame["type"]:
            case "event":
                self._take_in_event(frame, size)
            case "page":
                self._owe_page()
            case "cursor":
                self._take_in_move(frame)
            case "cursors":
                self._show_cursors()

    def _take_in_event(self, frame: dict[str, Any], size: int) -> None:
        try:
            event = read_event(frame, size)
        except ValueError as error:
            self._refuse("bad-frame", str(error))
            return
        waiting = sum(one.size for one in self._inbox)
        if len(self._inbox) >= MAX_WAITING_EVENTS or waiting + size > MAX_WAITING_BYTES:
            self._refuse("too-many", "Too many events are waiting.", event.ref)
        else:
            self._inbox.append(event)
            self._go_on()

    def _owe_page(self) -> None:
        """Let the next refresh send the whole page: the browser's page has other regions."""
        self.code.shown.owe_page()
        self._refreshes = self._refreshes or [Refresh()]
        self._go_on()

    def _show_cursors(self) -> None:
        if self._pointer:
            self.session.show_cursors()
        else:
            self._refuse_cursors()

    def _take_in_move(self, frame: dict[str, Any]) -> None:
        if self._pointer is None:
            self._refuse_cursors()
            return
        try:
            if self._pointer.take_in(frame):
                moves_of_loop().add(self)
        except ValueError as error:
            self._refuse("bad-frame", str(error))

    def _refuse_cursors(self) -> None:
        for_log = f"Derive {type(self.view).__qualname__} from LiveCursorMixin, or take {{% live_cursors %}} out of its page."
        self._refuse("no-cursors", "The view of this page is not a LiveCursorMixin.", for_log=for_log)

    def _refuse(self, code: str, message: str, ref: int | None = None, for_log: str = "") -> None:
        if self.socket:
            self.socket.refuse(code, message, ref, for_log)

    # Turns

    def begin_turn(self) -> bool:
        """Claim the view and return True, if no code runs for it; call `end_turn` afterwards."""
        if self.busy or self.over:
            return False
        self.busy = True
        return True

    def end_turn(self) -> None:
        self.busy = False
        if self._check and self.over:
            self._check.done.cancel()
        self._take_in_user()
        self._go_on()

    def _go_on(self) -> None:
        """Begin the work that waits, if no code runs for the view."""
        if (self._check or self._inbox or self._refreshes) and self.begin_turn():
            spawn(self._do(self._catch_up()))

    async def _do(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            user_code.log(logger.exception, "Unexpected error in the live view at %.200r.", self.request.path)
            if self.socket:
                self.socket.close(CloseCode.FAILED, "failed")
        finally:
            self.end_turn()

    async def _catch_up(self) -> None:
        while not self.over and (self._check or self._inbox or self._refreshes):
            self._take_in_user()
            if self._check:
                check, self._check = self._check, None
                await check.run(self.code, self.socket)
            elif self._inbox:
                await self._handle(self._inbox.pop(0))
            else:
                self._show(
                    await workers.run(
                        partial(self.code.update, self._due()), refresh=True, sender=self.sender
                    )
                )

    async def _handle(self, event: EventFrame) -> None:
        handler = find_handler(self.view, event.name)
        if handler is None:
            for_log = (
                f"{type(self.view).__qualname__} has no event handler {event.name[:LONGEST_NAME]!r}; "
                "is it spelt right, and decorated with @event_handler()?"
            )
            self._refuse("unknown-event", "There is no such event handler.", event.ref, for_log)
            return
        try:
            arguments = bind(handler, event.params)
        except ArgumentError as error:
            for_log = f"{handler.__func__.__qualname__}(): {error}"
            self._refuse("bad-arguments", str(error), event.ref, for_log)
            return
        if inspect.iscoroutinefunction(handler):
            async with own_thread():
                failure = await self.code.acall(handler, arguments)
            update = await workers.run(
                partial(self.code.update, self._due(), event=True, failure=failure), sender=self.sender
            )
        else:
            update = await workers.run(
                partial(self.code.call, handler, arguments, self._due()), sender=self.sender
            )
        self._show(update)
        if self.socket and update.failure:
            self.socket.put_error(update.failure, WHAT_FAILED[update.failure], event.ref)
        elif self.socket and event.ref is not None:
            self.socket.put(encode("ack", ref=event.ref))

    def _due(self) -> list[Refresh]:
        due, self._refreshes = self._refreshes, []
        return due

    def _show(self, update: Update) -> None:
        if self.socket is None:
            return
        if update.ended:
            self.socket.expel(CloseCode.LOG_IN, "reload")
        self.socket.show(update.regions)
        for frame in update.pushed:
            self.socket.put(frame)

    # For the host, and for moves

    def begin_refresh(self, refresh: Refresh) -> list[Refresh]:
        """Claim the view and return its pending refreshes; empty if it is busy (they are applied afterwards)."""
        self._refreshes.append(refresh)
        return self._due() if self.begin_turn() else []

    def end_refresh(self, update: Update) -> None:
        self._show(update)
        self.end_turn()

    def take_in_move(self) -> Update:
        """Let the view handle its latest move, in a thread, between `begin_turn` and `end_move`."""
        position = self._pointer and self._pointer.take()
        return self.code.move(position) if position else Update()

    def end_move(self, update: Update) -> None:
        if self._pointer:
            self._pointer.taken()
        if update.stale:
            self.session.refresh()
        self.end_refresh(update)
