"""The consumer: a page's WebSocket, what comes in and goes out, and whose turn it is at the view behind it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from channels.consumer import AsyncConsumer

from ..conf import get_settings
from ..cursor_mixin import LiveCursorMixin, goes_straight, move_cursor
from ..cursors import Position
from ..events import ArgumentError, bind, find_handler
from ..hosts.incoming import FrameError, read_frame
from ..hosts.limits import Limits
from ..hosts.outgoing import PONG, Message, Outgoing, Send, encode
from ..hosts.request import FAILED, LOG_IN, LiveRequest, build_request, origin_allowed, respond, wrong_origin
from ..hosts.threads import lanes, own_thread, spawn
from ..rates import LogLimit
from ..tracker import (
    NO_STATUS,
    Connection,
    Ending,
    Refresh,
    Session,
    Tracker,
    drained,
    get_tracker,
    will_serve,
)
from .host import live_host
from .moves import moves_of_loop
from .view import LiveView, Update

__all__ = ["LiveViewConsumer"]

logger = logging.getLogger("djust_presence")

VERSION = 1
MAX_WAITING_EVENTS = 100
SLOW = 4000
FLOOD = 4408
WHAT_FAILED = {
    "failed": "The event could not be handled; the server's log has the traceback.",
    "forbidden": "This is not allowed.",
}
CLOSE_WAIT = 5.0  # seconds for the browser to answer our close
LONGEST_NAME = 80  # characters of an event's name that the log gets

# Lines about sockets that are refused, whose pages come back every few seconds.
_refusals = LogLimit()

Receive = Callable[[], Awaitable[Message]]


class Event(NamedTuple):
    """A handler that the page wants to have called."""

    ref: int | None
    name: str
    params: dict[str, Any]


class LiveViewConsumer(AsyncConsumer):  # type: ignore[misc]
    """Serves the page that opened the socket: ``"websocket": LiveViewConsumer.as_asgi()`` is all the routing.

    Its own task only reads. Mounting, handlers and sending have tasks that end when they have nothing to do,
    and one piece of user code at a time is at the view.
    """

    _path: str
    _outgoing: Outgoing
    _patience: asyncio.Timeout
    _tracker: Tracker
    _view: LiveView
    _connection: Connection[Session] | None = None
    _session: Session | None = None
    _busy = False
    _over = False
    _position: Position | None = None  # a move that the view has not taken in
    _nowhere = True  # whether that is where the page says that its pointer is
    slow = False  # whether it took long over the last one

    def __init__(self) -> None:
        self._limits = Limits()
        self._inbox: list[Event] = []
        self._refreshes: list[Refresh] = []

    @classmethod
    def as_asgi(cls, **kwargs: Any) -> Any:
        will_serve()
        return super().as_asgi(**kwargs)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise ValueError(f"LiveViewConsumer serves websockets, not {scope['type']!r}.")
        await receive()  # websocket.connect
        try:
            request = build_request(scope, self._connect)
            fault = None if origin_allowed(request) else wrong_origin(request)
        except UnicodeDecodeError:
            fault = "Its query string is not UTF-8."
        if fault:
            if (left_out := _refusals.line()) is not None:
                logger.warning("A socket for %.200r was refused. %s%s", scope["path"], fault, left_out)
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        self._path, self._outgoing = request.path, Outgoing(send, self._leave)
        ending = Ending.LOST
        try:
            async with asyncio.timeout(None) as self._patience:
                self._start(self._mount(request))
                ending = Ending.of(await self._read(receive))
        except TimeoutError:
            if not self._patience.expired():
                raise
        except asyncio.CancelledError:
            ending = Ending.RESTART
            raise
        finally:
            self._over = True
            self._outgoing.end()
            if self._connection is not None and (stop := self._connection.end(ending)):
                await drained(stop)

    # Incoming

    async def _read(self, receive: Receive) -> int:
        """Take frames in until the connection is gone; return its close code."""
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                code: int | None = message.get("code")
                return NO_STATUS if code is None else code
            if self._over:
                continue
            if self._connection is not None:
                self._connection.heard()
            if self._limits.is_flood(monotonic()):
                logger.warning("The socket of %r was closed: too many frames.", self._path)
                self.close(FLOOD, "too many frames")
            else:
                self._take_in(message.get("text"))
            await asyncio.sleep(0)  # what a server has queued up would else be read before anybody's turn

    def _take_in(self, text: str | None) -> None:
        try:
            frame = read_frame(text)
        except FrameError as error:
            self._refuse(error.code, str(error))
            return
        if self._is_too_fast(frame):
            return
        match frame:
            case {"type": "ping"}:
                self.put(PONG)
            case {"type": "pong"}:
                pass
            case {"type": "page"}:
                if self._session is not None:
                    self._view._live_shown.owe_page()
                    self._refreshes = self._refreshes or [Refresh()]
                    self._go_on()
            case {"type": "cursor", **move}:
                self._take_in_move(move)
            case {"type": "cursors"}:
                if self._session is not None and self._has_cursors():
                    self._session.show_cursors()
            case {"type": "event", "name": str(name), **rest}:
                self._take_in_event(name, rest.get("ref"), rest.get("params", {}))
            case _:
                self._refuse("bad-frame", "The frame is of no known type.")

    def _is_too_fast(self, frame: dict[str, Any]) -> bool:
        """Count *frame*. One too many is refused, but for a move, which the next one makes good."""
        if frame.get("type") == "cursor":
            return not self._limits.may_move(monotonic())
        if self._limits.may_speak(monotonic()):
            return False
        ref = frame.get("ref")
        self._refuse("too-fast", "These are too many frames.", ref if type(ref) is int else None)
        return True

    def _take_in_event(self, name: str, ref: Any, params: Any) -> None:
        if not (ref is None or type(ref) is int) or not isinstance(params, dict):
            self._refuse("bad-frame", "An event has a whole number as ref and an object as params.")
        elif len(self._inbox) >= MAX_WAITING_EVENTS:
            self._refuse("too-many", "Too many events are waiting.", ref)
        else:
            self._inbox.append(Event(ref, name, params))
            self._go_on()

    def _has_cursors(self) -> bool:
        if isinstance(self._view, LiveCursorMixin):
            return True
        for_log = f"Derive {type(self._view).__qualname__} from LiveCursorMixin, or take {{% live_cursors %}} out of its page."
        self._refuse("no-cursors", "The view of this page is no LiveCursorMixin.", for_log=for_log)
        return False

    def _take_in_move(self, move: dict[str, Any]) -> None:
        if self._session is None or not self._has_cursors():
            return
        try:
            position = None if move.get("x", 0) is None else Position.read(move)
        except ValueError as error:
            self._refuse("bad-frame", str(error))
            return
        self._nowhere = position is None
        if position is None or goes_straight(self._view):
            self._position = None
            move_cursor(self._session, position)
        else:
            self._position = position
            moves_of_loop().add(self)

    def may_log(self) -> bool:
        """Whether what this page has brought about may have a line in the log. From any thread."""
        return self._limits.may_log(monotonic())

    def _refuse(self, code: str, message: str, ref: int | None = None, for_log: str = "") -> None:
        if self.may_log():
            logger.warning("A frame for %r was refused (%s): %s", self._path, code, for_log or message)
        self._put_error(code, message, ref)

    # The view, which one thing at a time is done with

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._busy = True
        spawn(self._do(work))

    async def _do(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            logger.exception("The live view at %r broke down.", self._path)
            self.close(FAILED, "failed")
        finally:
            self._busy = False
            self._go_on()

    def _go_on(self) -> None:
        """See to what waits, unless something is done with the view already."""
        if not self._busy and not self._over and (self._inbox or self._refreshes):
            self._start(self._catch_up())

    async def _mount(self, request: LiveRequest) -> None:
        self._tracker = get_tracker()
        self._connection = self._tracker.connect(live_host, self)
        view, code, reason = await respond(request)
        if view is None:
            self.close(code, reason)
        elif not self._over:
            assert view._presence is not None
            self._view, self._session = view, view._presence
            self.put(encode("ready", version=VERSION, ping=get_settings().heartbeat_interval))
            self._show(Update(view._live_shown.first(), view._live_take_pushed()))
            self._session.live()

    def _connect(self, view: LiveView) -> None:
        """Called in the view's thread, before it is mounted."""
        assert self._connection
        view._presence = self._tracker.session(self._connection, view)
        view._live_consumer = self

    async def _catch_up(self) -> None:
        while not self._over and (self._inbox or self._refreshes):
            if self._inbox:
                await self._handle(self._inbox.pop(0))
            else:
                self._show(await lanes.run(partial(self._view._live_update, self._due()), refresh=True))

    async def _handle(self, event: Event) -> None:
        handler = find_handler(self._view, event.name)
        if handler is None:
            for_log = (
                f"{type(self._view).__qualname__} has no event handler {event.name[:LONGEST_NAME]!r}; "
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
                failure = await self._view._live_await(handler, arguments)
            update = await lanes.run(
                partial(self._view._live_update, self._due(), event=True, failure=failure)
            )
        else:
            update = await lanes.run(partial(self._view._live_call, handler, arguments, self._due()))
        self._show(update)
        if update.failure:
            self._put_error(update.failure, WHAT_FAILED[update.failure], event.ref)
        elif event.ref is not None:
            self.put(encode("ack", ref=event.ref))

    def _due(self) -> list[Refresh]:
        due, self._refreshes = self._refreshes, []
        return due

    # For the host

    @property
    def over(self) -> bool:
        return self._over

    @property
    def idle(self) -> bool:
        """Whether nothing is being sent."""
        return not self._over and self._outgoing.idle

    def begin(self) -> bool:
        """Take the view, if nothing is done with it; then call `end`."""
        if self._busy or self._over:
            return False
        self._busy = True
        return True

    def end(self) -> None:
        self._busy = False
        self._go_on()

    def begin_refresh(self, refresh: Refresh) -> list[Refresh]:
        """What the view is to take in now; nothing if something is done with it, which then sees to *refresh*."""
        self._refreshes.append(refresh)
        return self._due() if self.begin() else []

    def end_refresh(self, update: Update) -> None:
        self._show(update)
        self.end()

    def take_in_move(self) -> Update:
        """Let the view take in where the pointer is by now. In a thread, between `begin` and `end_move`."""
        position, self._position = self._position, None
        return self._view._live_move(position) if position else Update()

    def end_move(self, update: Update) -> None:
        if self._session is not None:
            if self._nowhere:  # it has left while the view took in where it was
                move_cursor(self._session, None)
            if update.stale:
                self._session.refresh()
        self.end_refresh(update)

    def expel(self, code: int, reason: str) -> None:
        """Close the socket of somebody who may not be here any more: they are gone at once, whatever GRACE is."""
        if self._session is not None:
            self._session.untrack()
        self.close(code, reason)

    def close(self, code: int, reason: str) -> None:
        """Close the socket; nothing more is sent. A browser that does not answer is not waited for long."""
        if self._over:
            return
        self._over = True
        if self._connection is not None:
            self._connection.end(Ending.of(code, reason))
        self._outgoing.close(code, reason)
        self._leave(CLOSE_WAIT)

    def put(self, frame: str) -> None:
        """Send *frame* when its turn comes."""
        if not self._over and not self._outgoing.put(frame, monotonic()):
            # Whoever has missed so much is better off with the page as it is by then.
            self.close(SLOW, "slow")

    # Outgoing

    def _put_error(self, code: str, message: str, ref: int | None) -> None:
        self.put(encode("error", **({} if ref is None else {"ref": ref}), code=code, message=message))

    def _show(self, update: Update) -> None:
        if update.ended:
            self.expel(LOG_IN, "reload")
        if not self._over:
            self._outgoing.show(update.regions)
        for frame in update.pushed:
            self.put(frame)

    def _leave(self, seconds: float = 0) -> None:
        """Be gone by then, whatever the browser does."""
        if not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time() + seconds)
