"""The consumer: one WebSocket, the live view behind it, and what goes in and out."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import Context
from functools import partial
from types import MethodType, NoneType
from typing import Any, NamedTuple, NoReturn

from channels.consumer import AsyncConsumer

from djust_presence.conf import get_settings
from djust_presence.events import ArgumentError, bind, find_handler
from djust_presence.mixins import PresenceMixin
from djust_presence.tracker import Refresh, Session, Tracker, drain_all, get_tracker

from .rendering import WHOLE, Shown, encode, render
from .request import FAILED, LiveRequest, build_request, origin_allowed, respond
from .threads import call, lanes, own_thread
from .view import LiveView

__all__ = ["LiveHost", "LiveViewConsumer", "lifespan"]

logger = logging.getLogger("djust_presence")

VERSION = 1
MAX_FRAME_BYTES = 64 * 1024
MAX_WAITING_EVENTS = 100
MAX_WAITING_FRAMES = 256
SLOW = 4000
GOING_AWAY = 1012
NO_STATUS = 1005
CLOSE_WAIT = 5.0  # seconds for the browser to answer our close

PING = encode("ping")
PONG = encode("pong")

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]


class Event(NamedTuple):
    """A handler that the browser wants to have called."""

    ref: int | None
    name: str
    params: dict[str, Any]


class Update(NamedTuple):
    """What user code and rendering have left for the browser."""

    regions: Mapping[str, str] = {}
    pushed: Sequence[str] = ()
    failed: bool = False


# Tasks that outlive the consumer that started them: a handler runs to its end though the page is gone.
_tasks: set[asyncio.Task[None]] = set()


def _spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run *work* in an empty context, so that nothing of one visitor's language or caches gets to another."""
    task = asyncio.get_running_loop().create_task(work, context=Context())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


class LiveViewConsumer(AsyncConsumer):  # type: ignore[misc]
    """Serves the page that opened the socket: ``"websocket": LiveViewConsumer.as_asgi()`` is all the routing.

    Its task only reads. Mounting, handlers and sending have tasks that end when they have nothing to do,
    and one piece of user code at a time is at the view.
    """

    _send: Send
    _path: str
    _patience: asyncio.Timeout
    _tracker: Tracker
    _view: LiveView
    _session: Session | None = None
    _busy = True  # mounting is the first thing to do
    _over = False

    def __init__(self) -> None:
        self._shown = Shown()
        self._inbox: deque[Event] = deque()
        self._refreshes: list[Refresh] = []
        self._regions: dict[str, str] = {}
        self._outbox: deque[Message | None] = deque()  # None: the regions, as they are by then
        self._sender: asyncio.Task[None] | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise ValueError(f"LiveViewConsumer serves websockets, not {scope['type']!r}.")
        await receive()  # websocket.connect
        try:
            request = build_request(scope, self._connect)
            allowed = origin_allowed(request)
        except UnicodeDecodeError:
            allowed = False
        if not allowed:
            logger.warning("A socket for %s was refused: no page of this site has opened it.", scope["path"])
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        self._send, self._path = send, request.path
        going_away = False
        try:
            async with asyncio.timeout(None) as self._patience:
                self._start(self._mount(request))
                going_away = await self._read(receive) == GOING_AWAY
        except TimeoutError:
            if not self._patience.expired():
                raise
        except asyncio.CancelledError:
            going_away = True
            raise
        finally:
            await self._end(going_away)

    # Incoming

    async def _read(self, receive: Receive) -> int:
        """Take in frames until the connection is gone; return its close code."""
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                code: int | None = message.get("code")
                return NO_STATUS if code is None else code
            if self._session is not None:
                self._session.heard()
            self._received(message.get("text"))

    def _received(self, text: str | None) -> None:
        if text is None:
            self._refuse("bad-frame", "Binary frames are not understood.")
            return
        if len(text) > MAX_FRAME_BYTES or len(text.encode(errors="surrogatepass")) > MAX_FRAME_BYTES:
            self._refuse("too-large", "A frame has at most 64 KB.")
            return
        try:
            frame = json.loads(text, parse_constant=_not_json)
        except (ValueError, RecursionError):
            self._refuse("bad-frame", "The frame is not JSON.")
            return
        match frame:
            case {"type": "ping"}:
                self._put_once(PONG)
            case {"type": "pong"}:
                pass
            case {"type": "event", "name": str(name), **rest}:
                ref, params = rest.get("ref"), rest.get("params", {})
                if type(ref) not in (int, NoneType) or type(params) is not dict:
                    self._refuse("bad-frame", "An event has a number as ref and an object as params.")
                elif len(self._inbox) >= MAX_WAITING_EVENTS:
                    self._refuse("too-many", "Too many events are waiting.", ref)
                else:
                    self._inbox.append(Event(ref, name, params))
                    self._go_on()
            case _:
                self._refuse("bad-frame", "The frame is of no known type.")

    def _refuse(self, code: str, message: str, ref: int | None = None) -> None:
        logger.warning("A frame for %s was refused: %s %s", self._path, code, message)
        self._put_error(code, message, ref)

    # The view

    def _connect(self, view: LiveView) -> None:
        """Called in the view's thread, before it is mounted."""
        view._presence = self._tracker.session(live_host, view)
        view._connection = self

    async def _mount(self, request: LiveRequest) -> None:
        self._tracker = get_tracker()
        view, code, reason = await respond(request)
        if view is None:
            self.close(code, reason)
        elif not self._over:
            assert view._presence is not None and view._first_page is not None
            self._view, self._session = view, view._presence
            page, view._first_page = view._first_page, None
            pushed, view._pushed = view._pushed, []
            self._put(encode("ready", version=VERSION, ping=get_settings().heartbeat_interval))
            self._update(Update(self._shown.update(page), pushed))
            self._session.live()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do *work*, and when it is done what has come meanwhile."""
        self._busy = True
        _spawn(self._supervised(work))

    async def _supervised(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            logger.exception("The live page %s broke down.", self._path)
            self.close(FAILED, "failed")
        finally:
            self._busy = False
            self._go_on()

    def _go_on(self) -> None:
        """Start on what waits, unless something is at the view already."""
        if not self._busy and not self._over and (self._inbox or self._refreshes):
            self._start(self._work())

    async def _work(self) -> None:
        while not self._over and (self._inbox or self._refreshes):
            if self._inbox:
                await self._handle(self._inbox.popleft())
            else:
                self._update(await lanes.run(partial(self._render, self._due()), refresh=True))

    async def _handle(self, event: Event) -> None:
        handler = find_handler(self._view, event.name)
        if handler is None:
            self._refuse("unknown-event", "There is no such event handler.", event.ref)
            return
        try:
            arguments = bind(handler, event.params)
        except ArgumentError as error:
            self._refuse("bad-arguments", str(error), event.ref)
            return
        if inspect.iscoroutinefunction(handler):
            failed = await self._await(handler, arguments)
            update = await lanes.run(partial(self._render, self._due()))
        else:
            update = await lanes.run(partial(self._call, handler, arguments, self._due()))
            failed = update.failed
        self._update(update)
        if failed:
            self._put_error("failed", "The event could not be handled.", event.ref)
        elif event.ref is not None:
            self._put(encode("ack", ref=event.ref))

    async def _await(self, handler: MethodType, arguments: dict[str, Any]) -> bool:
        """Run an async handler, on the loop and in this task. Says whether it failed."""
        async with own_thread():
            with self._view._ambient.restored():
                try:
                    await handler(**arguments)
                except Exception:
                    self._log_failure(handler)
                    return True
        return False

    def _call(self, handler: MethodType, arguments: dict[str, Any], refreshes: list[Refresh]) -> Update:
        """Run a sync handler, and render. In a thread."""
        failed = False
        with self._view._ambient.restored():
            try:
                call(handler, **arguments)
            except Exception:
                self._log_failure(handler)
                failed = True
        return self._render(refreshes)._replace(failed=failed)

    def _render(self, refreshes: list[Refresh]) -> Update:
        """Tell the view what has come, and render. In a thread. Never raises."""
        view, regions = self._view, {}
        with view._ambient.restored():
            try:
                if isinstance(view, PresenceMixin):
                    for refresh in refreshes:
                        view._presence_refresh(refresh)
                regions = self._shown.update(render(view))
            except Exception:
                logger.exception("The live page %s could not be rendered.", self._path)
        pushed, view._pushed = view._pushed, []
        return Update(regions, pushed)

    def _due(self) -> list[Refresh]:
        due, self._refreshes = self._refreshes, []
        return due

    def _log_failure(self, handler: MethodType) -> None:
        logger.exception("The event handler %s of %s failed.", handler.__func__.__qualname__, self._path)

    # For the host

    def begin_refresh(self, refresh: Refresh) -> bool:
        """Note that *refresh* is due. False: something is at the view now, and sees to it afterwards."""
        self._refreshes.append(refresh)
        if self._busy or self._over:
            return False
        self._busy = True
        return True

    def end_refresh(self, update: Update) -> None:
        self._busy = False
        self._update(update)
        self._go_on()

    def put(self, frame: str) -> None:
        """Send *frame* when its turn comes."""
        self._put(frame)

    def close(self, code: int, reason: str) -> None:
        """Close the socket; nothing more is sent. A browser that does not answer is not waited for long."""
        if self._over:
            return
        self._over = True
        if self._session is not None:
            self._session.end()
        self._outbox.clear()
        self._enqueue({"type": "websocket.close", "code": code, "reason": reason})
        self._hurry(CLOSE_WAIT)

    # Outgoing

    def _update(self, update: Update) -> None:
        if update.regions and not self._over:
            if WHOLE in update.regions:
                self._regions.clear()
            self._regions |= update.regions
            if None not in self._outbox:
                self._enqueue(None)
        for frame in update.pushed:
            self._put(frame)

    def _put_error(self, code: str, message: str, ref: int | None) -> None:
        fields = {} if ref is None else {"ref": ref}
        self._put(encode("error", **fields, code=code, message=message))

    def _put(self, frame: str) -> None:
        if self._over:
            return
        if len(self._outbox) >= MAX_WAITING_FRAMES:
            # Who has missed this much is better off with the page as it is by then.
            self.close(SLOW, "slow")
            return
        self._enqueue({"type": "websocket.send", "text": frame})

    def _enqueue(self, message: Message | None) -> None:
        self._outbox.append(message)
        if self._sender is None:
            self._sender = _spawn(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._outbox:
                message = self._outbox.popleft()
                if message is None:
                    regions, self._regions = self._regions, {}
                    message = {"type": "websocket.send", "text": encode("render", regions=regions)}
                await self._send(message)
        except Exception:
            # Servers say in various ways that the peer has gone, and not all of them say it to receive().
            logger.debug("The socket of %s is gone.", self._path, exc_info=True)
            self._hurry(0)
        finally:
            self._sender = None

    def _hurry(self, seconds: float) -> None:
        """Leave the connection then, if it has not ended by itself."""
        if not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time() + seconds)

    async def _end(self, going_away: bool) -> None:
        self._over = True
        self._outbox.clear()
        if self._sender is not None:
            self._sender.cancel()
        if self._session is not None and (stop := self._session.end(going_away)):
            await stop



def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON.")


class LiveHost:
    """What the tracker sees of all live pages."""

    async def refresh(self, sessions: Sequence[Session]) -> None:
        """Tell the views of *sessions* what has come and render them, all in one hop. Never raises."""
        consumers = [_consumer(session) for session in sessions if _consumer(session).begin_refresh(session.take())]
        if not consumers:
            return
        work = [(consumer, consumer._due()) for consumer in consumers]
        updates = [Update()] * len(work)
        try:
            updates = await lanes.run(lambda: [one._render(refreshes) for one, refreshes in work], refresh=True)
        except Exception:
            logger.exception("%s live pages could not be refreshed.", len(work))
        finally:
            for consumer, update in zip(consumers, updates, strict=True):
                consumer.end_refresh(update)

    def send(self, sessions: Sequence[Session], event: str, payload: Any) -> None:
        """Put a broadcast into the pages of *sessions*."""
        frame = encode("event", event=event, payload=payload)
        for session in sessions:
            _consumer(session).put(frame)

    def ping(self, sessions: Sequence[Session]) -> None:
        """Ask the pages of *sessions* for a sign of life."""
        for session in sessions:
            _consumer(session).put(PING)

    def close(self, session: Session, code: int, reason: str) -> None:
        """Close the socket of *session*."""
        _consumer(session).close(code, reason)


def _consumer(session: Session) -> LiveViewConsumer:
    consumer: LiveViewConsumer = session.view._connection
    return consumer


live_host = LiveHost()


async def lifespan(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """For ``"lifespan"`` in the ``ProtocolTypeRouter``: a server that stops lets the pages move on quietly."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await drain_all()
            await send({"type": "lifespan.shutdown.complete"})
            return
