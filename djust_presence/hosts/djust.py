"""Real djust as a host: a session behind each of its live views, by what djust says to a view and its consumer.

Nothing of djust is imported. What this relies on is kept by the tests: how a view is handed its consumer, which
view the consumer holds, how that hears of its end, and how a server push renders a view.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MethodType
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest
from django.urls import Resolver404, resolve

from ..cursor_mixin import LiveCursorMixin, goes_straight, move_cursor, show_cursors
from ..cursors import Position
from ..events import ArgumentError, bind
from ..mixins import PresenceMixin
from ..tracker import Refresh, Session, get_tracker, reads

__all__ = ["DjustHost", "djust_host"]

logger = logging.getLogger("djust_presence")

GOING_AWAY = 1012
SLOW = 4000
MAX_WAITING_FRAMES = 256
MAX_MOVES = 100  # a second
TICK = 1 / 30
LEAST_TIMEOUT = 90.0  # djust's client pings by a timer, and those of hidden pages run once a minute

# What a view holds for as long as it lives and no longer: nothing to be saved, compared or restored.
FLEETING = (
    "_presence",
    "_presence_uncounted",
    "_presence_alone",
    "_presence_position",
    "_presence_misplaced",
)
UNUSED = "unused"

Frame = dict[str, Any]

# To djust a push like any other: it waits its turn, renders once, and of several that wait one remains.
REFRESH: Frame = {"type": "server_push", "djust_presence": "refresh"}
# What djust lets a page say of its pointer. Ours says more: {"type": "cursor_move", "cursors": true} is that it draws
# those of others.
MOVE = "cursor_move"


class _ConsumerOfView:
    """``view._ws_consumer``, by which djust says that a view is on a socket: before anything of it has run there."""

    def __get__(self, view: Any, owner: type | None = None) -> Any:
        if view is None:
            return self
        try:
            return view.__dict__["_ws_consumer"]
        except KeyError:
            raise AttributeError("_ws_consumer") from None

    def __set__(self, view: Any, consumer: Any) -> None:
        view.__dict__["_ws_consumer"] = consumer
        if consumer is None:
            # The view is being made. What it has by the end of that, djust takes for its own and leaves alone.
            kind = type(view)
            view.__dict__.update({name: getattr(kind, name) for name in FLEETING if hasattr(kind, name)})
        else:
            _seat(view, consumer)


def _seat(view: Any, consumer: Any) -> None:
    if not isinstance(consumer, SeatedConsumer):
        kind: type = type(consumer)
        consumer.__class__ = _seated(kind)
        consumer._presence_frames = deque()
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(consumer._presence_over)
    view._presence = get_tracker().session(djust_host, view)
    view.__dict__["get_presence_key"] = _answer_before_mount(view)


def _answer_before_mount(view: Any) -> Callable[[], str]:
    """What djust gets when it asks a view for its presence key, which it does on the loop, and before it mounts it.

    No view knows that so early. All of them say the same, and nothing is ever sent to the group that djust makes of it.
    """

    def get_presence_key() -> str:
        if not reads.in_loop():
            return str(type(view).get_presence_key(view))
        del view.__dict__["get_presence_key"]
        view.kwargs = _url_kwargs(view.request)
        return UNUSED

    return get_presence_key


def _url_kwargs(request: HttpRequest) -> dict[str, Any]:
    try:
        return dict(resolve(request.path_info).kwargs)
    except Resolver404:
        return {}


@cache
def _seated(kind: type) -> type:
    return type(kind.__name__, (SeatedConsumer, kind), {"__module__": kind.__module__})


if TYPE_CHECKING:
    Consumer = Any
else:
    Consumer = object


class SeatedConsumer(Consumer):  # type: ignore[misc]
    """What djust's consumer becomes when it has a view with presence: the view's session goes by what happens to it."""

    _presence_frames: deque[str]
    _presence_sender: asyncio.Task[None] | None = None
    _presence_mover: asyncio.Task[None] | None = None
    _presence_position: Position | None = None  # a move that the view has not taken in
    _presence_moves = 0  # in the second that began at
    _presence_second = 0.0
    _presence_refreshes: tuple[Refresh, ...] = ()
    _presence_alone = False  # whether the push that is under way is all ours
    _presence_stop: asyncio.Task[None] | None = None

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
        self._presence_end(before)
        self._presence_refreshes = ()
        if session := session_of(view):
            session.live()
            if isinstance(view, LiveCursorMixin):
                self.presence_put(_pushed("ready", {}))

    def _presence_end(self, view: Any, going_away: bool = False) -> None:
        if (session := session_of(view)) and (stop := session.end(going_away)):
            self._presence_stop = stop

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if session := session_of(self.view_instance):
            session.heard()
            if text_data and MOVE in text_data[:40] and (frame := _move_in(text_data)):
                self._presence_take_in(session, frame)
                return
        await super().receive(text_data=text_data, bytes_data=bytes_data)

    async def disconnect(self, close_code: int) -> None:
        # First, as djust calls untrack_presence() on its way, which is no wish to leave.
        self._presence_end(self.view_instance, close_code == GOING_AWAY)
        self._presence_frames.clear()
        await super().disconnect(close_code)
        if self._presence_stop:
            await asyncio.shield(self._presence_stop)

    def _presence_over(self, task: asyncio.Task[Any]) -> None:
        """The task of the socket has ended, in whatever way: a server that stops may just cancel it."""
        self._presence_end(self.view_instance, task.cancelled())

    # Refreshes, by way of a server push

    async def presence_refresh(self, view: Any, refresh: Refresh) -> None:
        if view is self.view_instance:
            self._presence_refreshes += (refresh,)
            await self.server_push(REFRESH)

    async def _run_server_push_turn(self, *events: Frame) -> None:
        self._presence_alone = all(event is REFRESH for event in events)
        try:
            await super()._run_server_push_turn(*events)
        finally:
            self._presence_alone = False

    async def _send_update(self, *args: Any, **fields: Any) -> None:
        if self._presence_alone:
            # The page would take a broadcast for somebody's new content of its fields, and drop what was typed.
            fields["broadcast"] = False
        await super()._send_update(*args, **fields)

    async def _apply_server_push(self, view: Any, event: Frame) -> None:
        if event is not REFRESH:
            await super()._apply_server_push(view, event)
            return
        refreshes, self._presence_refreshes = self._presence_refreshes, ()
        await sync_to_async(_take_in)(view, refreshes)

    # Pointers

    def _presence_take_in(self, session: Session, frame: Frame) -> None:
        """What the page says of pointers, which djust's own limit on frames would cut its socket for."""
        now = session.tracker.now
        if now - self._presence_second >= 1:
            self._presence_second, self._presence_moves = now, 0
        self._presence_moves += 1
        if self._presence_moves > MAX_MOVES or not isinstance(session.view, LiveCursorMixin):
            return
        if frame.get("cursors"):
            show_cursors(session)
            return
        try:
            position = None if frame.get("x", 0) is None else Position.read(frame)
        except ValueError:
            return
        if position is None or goes_straight(session.view):
            self._presence_position = None
            move_cursor(session, position)
        else:
            self._presence_position = position
            if self._presence_mover is None:
                self._presence_mover = asyncio.create_task(self._presence_move())

    async def _presence_move(self) -> None:
        """Let the view's own code take in where the pointer is by then, once a tick at most."""
        try:
            while (position := self._presence_position) is not None:
                self._presence_position = None
                async with self._render_lock:
                    view = self.view_instance
                    if not (session := session_of(view)) or not session.open:
                        return
                    changed = await sync_to_async(_take_in_move)(view, position)
                await self._flush_push_events()
                if changed:
                    session.refresh()
                await asyncio.sleep(TICK)
        finally:
            self._presence_mover = None

    # Frames, one after the other

    def presence_put(self, *frames: str) -> None:
        """Send *frames* when their turn comes. Whoever does not take them in is cut off, to come back for the whole."""
        if len(self._presence_frames) + len(frames) > MAX_WAITING_FRAMES:
            self.presence_close(SLOW)
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

    def presence_close(self, code: int) -> None:
        self._presence_frames.clear()
        self._presence_closing = asyncio.create_task(self.close(code))


def session_of(view: Any) -> Session | None:
    return view._presence if isinstance(view, PresenceMixin) else None


def _take_in(view: PresenceMixin, refreshes: Sequence[Refresh]) -> None:
    for refresh in refreshes:
        view._presence_refresh(refresh)


def _move_in(text: str) -> Frame | None:
    try:
        frame = json.loads(text)
    except ValueError:
        return None
    return frame if isinstance(frame, dict) and frame.get("type") == MOVE else None


def _take_in_move(view: LiveCursorMixin, position: Position) -> bool:
    """Let the view's own code take a move in. In a thread. Whether the view is another by that."""
    fields = {name: value for name, value in position._asdict().items() if value is not None}
    params = {"x": fields.pop("x"), "y": fields.pop("y"), "_data": fields}
    handler = MethodType(type(view).cursor_move, view)
    before = vars(view).copy()
    view._presence_moved(position)
    try:
        view._presence_call(handler, **bind(handler, params))
    except ArgumentError as error:
        logger.warning("A move for %s was refused: %s", type(view).__qualname__, error)
    finally:
        view._presence_moved(None)
    return any(
        not name.startswith("_") and (name not in before or before[name] is not value)
        for name, value in vars(view).items()
    )


def _pushed(event: str, payload: Any) -> str:
    """A frame that djust's client hands to our script."""
    return _push(f"djust_presence:{event}", payload)


def _push(event: str, payload: Any) -> str:
    return json.dumps({"type": "push_event", "event": event, "payload": payload}, cls=DjangoJSONEncoder)


class DjustHost:
    """What the tracker sees of djust's live views."""

    async def refresh(self, sessions: Sequence[Session]) -> None:
        """Let the views of *sessions* take in what has come, and djust render each. Never raises."""
        await asyncio.gather(
            *(_consumer(session).presence_refresh(session.view, session.take()) for session in sessions)
        )

    def send(self, sessions: Sequence[Session], event: str, payload: Any) -> None:
        """Put a broadcast into the pages of *sessions*: djust's event, and what our script makes its own of."""
        frames = _push(event, payload), _pushed("broadcast", {"event": event, "payload": payload})
        for session in sessions:
            _consumer(session).presence_put(*frames)

    def show_cursors(self, sessions: Sequence[Session], fields: Mapping[str, Any]) -> list[Session]:
        """Put one frame of cursors into the pages of *sessions*; those that are still being sent to are returned."""
        frame = _pushed("cursors", fields)
        return [session for session in sessions if not _consumer(session).presence_point(frame)]

    def ping(self, sessions: Sequence[Session]) -> None:
        """Nothing: djust's client gives a sign of life by itself."""

    def close(self, session: Session, code: int, reason: str) -> None:
        """Close the socket of *session*; djust's client comes back, if there still is one."""
        if session.tracker.now - session.heard_at >= LEAST_TIMEOUT:
            _consumer(session).presence_close(code)

    def notice(self, sessions: Sequence[Session], kind: str, *rest: Any) -> None:
        """Nothing: who may see a view, and for how long, is djust's to say."""

    async def check(self, sessions: Sequence[Session]) -> None:
        """Nothing, likewise."""


djust_host = DjustHost()


def _consumer(session: Session) -> SeatedConsumer:
    consumer: SeatedConsumer = session.view._ws_consumer
    return consumer


PresenceMixin._ws_consumer = _ConsumerOfView()  # type: ignore[attr-defined]
