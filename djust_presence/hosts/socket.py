"""A page's WebSocket: its opening, its frames in and out, and its end."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Any, ClassVar

from channels.consumer import AsyncConsumer

from ..codes import CloseCode
from ..conf import get_settings
from ..rates import LogLimit, user_code
from ..tracker import Ending, drained, get_tracker, will_serve
from .asgi import Receive, Scope, Send, close_code
from .base import Host
from .incoming import FrameError, Head, read_frame, read_head
from .limits import MAX_FRAME_BYTES, MAX_WAITING_BYTES, Limits, Verdict
from .outgoing import PONG, Changed, Outgoing, encode
from .parts import part_for
from .request import Behind, LiveRequest, SocketPart, build_request, origin_allowed, respond, wrong_origin
from .threads import spawn
from .turns import Crowded, Turn
from .workers import workers

__all__ = ["Socket"]

logger = logging.getLogger("djust_presence")

VERSION = 1
MOVE = "cursor"
MAX_EARLY_FRAMES = 100  # frames that wait while the page is mounted
CLOSE_WAIT = 5.0  # seconds for the browser to answer a close

# For lines about sockets that are refused or closed, whose pages come back every few seconds.
_refusals, _closings, _crowds = LogLimit(), LogLimit(), LogLimit()
_frames = LogLimit(burst=10)  # for lines about frames


class Socket(AsyncConsumer):
    """A socket that a page has opened to its own URL; the view there makes what is behind it.

    Its own task only reads. Frames are handed on by their type, to the part that was added for it.
    """

    # A dictionary each would be a third of the memory of thousands of idle sockets.
    __slots__ = (
        "_early",
        "_early_bytes",
        "_limits",
        "_mounting",
        "_opening",
        "_outgoing",
        "_over",
        "_timeout",
        "behind",
        "connection",
        "parts",
        "path",
        "request",
    )

    host: ClassVar[Host]

    def __init__(self) -> None:
        self.behind: Behind | None = None
        self.parts: tuple[SocketPart, ...] = ()
        self._opening: asyncio.Task[None] | None = None
        self._mounting = False  # stays True afterwards
        self._over = False
        self._limits = Limits()
        self._early: list[tuple[str, Head]] = []  # frames that came while the page was mounted
        self._early_bytes = 0

    @classmethod
    def as_asgi(cls, **kwargs: Any) -> Any:
        will_serve()
        return super().as_asgi(**kwargs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise ValueError(f"{type(self).__name__} serves websockets, not {scope['type']!r}.")
        await receive()  # websocket.connect
        self.connection = get_tracker().connect(self.host, self)
        try:
            request = build_request(scope, self.connection)
            fault = None if origin_allowed(request) else wrong_origin(request)
        except UnicodeDecodeError:
            fault = "Its query string is not UTF-8."
        if fault:
            _refusals.log(logger.warning, "A socket for %.200r was refused. %s", scope["path"], fault)
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        self.path, self.request = request.path, request
        self._outgoing = Outgoing(send, self._leave)
        ending = Ending.LOST
        try:
            async with asyncio.timeout(None) as self._timeout:
                self._opening = spawn(self._open(request))
                ending = Ending.of(await self._read(receive))
        except TimeoutError:
            if not self._timeout.expired():
                raise
        except asyncio.CancelledError:
            ending = Ending.RESTART
            raise
        finally:
            self._over = True
            self._outgoing.end()
            if self._opening and not self._mounting:
                self._opening.cancel()  # so that it does not wait for a worker
            if stop := self.connection.end(ending):
                await drained(stop)

    async def _open(self, request: LiveRequest) -> None:
        try:
            async with workers.hold(Turn.MOUNT, request.sender):
                if self._over:
                    return
                self._mounting = True
                behind, code, reason = await respond(request)
            if behind is None:
                self.close(code, reason)
            elif not self._over:
                self.put(encode("ready", version=VERSION, ping=get_settings().heartbeat_interval))
                self.behind = behind
                self.connection.begin()
                behind.begin(self)
                early, self._early = self._early, []
                for text, head in early:
                    self._read_frame(text, head)
        except Crowded:
            _crowds.log(
                logger.warning, "Too many pages are waiting to open, so %.200r has to try again.", self.path
            )
            self.close(CloseCode.RETRY, "crowded")
        except Exception:
            user_code.log(logger.exception, "Unexpected error as the socket of %.200r was opened.", self.path)
            self.close(CloseCode.FAILED, "failed")
        finally:
            self._opening = None

    # Incoming

    def add(self, part: SocketPart) -> None:
        """Hand frames of its kinds to *part*."""
        self.parts += (part,)

    async def _read(self, receive: Receive) -> int:
        """Take frames in until the connection is gone; return its close code."""
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return close_code(message)
            if self._over:
                continue
            self.connection.heard()
            self._take_in(message.get("text"), message.get("bytes"))
            # Otherwise all frames that the server has queued would be read before other tasks run.
            await asyncio.sleep(0)

    def _take_in(self, text: str | None, binary: bytes | None) -> None:
        """Count a frame, and read it if the limits allow."""
        head = read_head(text, binary)
        verdict = self._limits.judge(monotonic(), head.size, move=head.kind == MOVE)
        if verdict is Verdict.CLOSE:
            self._close_flood()
        elif verdict is Verdict.ADMIT:
            self._admit(text, head)
        elif head.kind != MOVE:  # a dropped move is made good by the next one
            self.refuse("too-fast", "These are too many frames.", head.ref)

    def _admit(self, text: str | None, head: Head) -> None:
        if self.behind is not None or text is None or head.size > MAX_FRAME_BYTES:
            self._read_frame(text, head)
        elif head.kind == "ping":
            self.put(PONG)
        elif head.kind in ("pong", MOVE):
            pass
        elif len(self._early) < MAX_EARLY_FRAMES and self._early_bytes + head.size <= MAX_WAITING_BYTES:
            self._early.append((text, head))
            self._early_bytes += head.size
        else:
            self.refuse("too-many", "Too many events are waiting.", head.ref)

    def _read_frame(self, text: str | None, head: Head) -> None:
        try:
            frame = read_frame(text, head.size)
        except FrameError as error:
            self._blame(error.code, str(error))
            return
        match frame.get("type"):
            case "ping":
                self.put(PONG)
            case "pong":
                pass
            case _:
                self._hand_on(frame, head.size)

    def _blame(self, code: str, message: str) -> None:
        """Refuse a frame that our own pages do not send; close the socket after too many."""
        if self._limits.blame(monotonic()) is Verdict.CLOSE:
            self._close_flood()
        else:
            self.refuse(code, message)

    def _close_flood(self) -> None:
        _closings.log(logger.warning, "The socket of %.200r was closed: too many frames.", self.path)
        self.close(CloseCode.FLOOD, "too many frames")

    def _hand_on(self, frame: dict[str, Any], size: int) -> None:
        if part := self._part_for(frame.get("type")):
            part.take_in(frame, size)
        else:
            self._blame("bad-frame", "The frame is of no known type.")

    def _part_for(self, kind: object) -> SocketPart | None:
        if not isinstance(kind, str):
            return None
        for part in self.parts:
            if kind in part.kinds:
                return part
        if made_by := part_for(kind):
            self.add(made_by.beside(self))
            return self.parts[-1]
        return None

    def user_is(self, user: Any) -> None:
        """Take in the visitor's *user* as just fetched (they are still logged in)."""
        for part in self.parts:
            part.user_is(user)

    def refuse(self, code: str, message: str, ref: int | None = None, for_log: str = "") -> None:
        """Answer a frame with an error, and log it, with *for_log* in the place of *message*."""
        if self.may_log():
            _frames.log(
                logger.warning,
                "A frame for %.200r was refused (%s): %s",
                self.path,
                code,
                for_log or message,
                of=(type(self), code),
            )
        self.put_error(code, message, ref)

    def may_log(self) -> bool:
        """Return whether a fault of this page may have a line in the log. From any thread."""
        return self._limits.may_log(monotonic())

    # Outgoing

    @property
    def over(self) -> bool:
        return self._over

    def put(self, frame: str) -> None:
        """Send *frame* when its turn comes."""
        if not self._over and not self._outgoing.put(frame, monotonic()):
            # A page that has missed so much loads its present state instead.
            self.close(CloseCode.RETRY, "slow")

    def put_if_idle(self, frame: str) -> bool:
        """Send *frame* if nothing is being sent, else return False."""
        return not self._over and self._outgoing.put_if_idle(frame)

    def put_error(self, code: str, message: str, ref: int | None = None) -> None:
        self.put(encode("error", **({} if ref is None else {"ref": ref}), code=code, message=message))

    def show(self, regions: Changed) -> None:
        """Send *regions*; they replace regions with the same id that wait."""
        if not self._over:
            self._outgoing.show(regions)

    # The end

    def expel(self, code: CloseCode, reason: str) -> None:
        """Close the socket of a user whose access has ended: they leave at once, without GRACE."""
        for session in self.connection.sessions:
            session.untrack()
        self.close(code, reason)

    def close(self, code: int, reason: str) -> None:
        """Close the socket; nothing more is sent. A browser has CLOSE_WAIT to answer."""
        if self._over:
            return
        self._over = True
        self.connection.end(Ending.of(code, reason))
        self._outgoing.close(int(code), reason)  # autobahn takes no subclass of int
        self._leave(CLOSE_WAIT)

    def _leave(self, seconds: float = 0) -> None:
        """End the socket in *seconds* at the latest, whatever the browser does."""
        if not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time() + seconds)
