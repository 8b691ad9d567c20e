"""The presence of one consumer: its connection, and a session for each key."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Hashable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from channels.db import database_sync_to_async
from django.core.exceptions import PermissionDenied, SynchronousOnlyOperation
from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext

from ..codes import CloseCode
from ..errors import PresenceError
from ..hosts.access_failures import CHECK_WAIT
from ..hosts.asgi import Message, Send, close_code
from ..hosts.users import refresh_user
from ..identity import checked_user, connection_id, encode_named, is_logged_in, username_of, visitor_id
from ..keys import checked_key
from ..presence.arguments import Record
from ..rates import user_code
from ..state.metas import decode_meta, merged
from ..state.records import Step, StepKind, record, records
from ..tracker import Ending, Event, Session, drained, get_tracker, lookup
from .callbacks import Callbacks
from .host import consumer_host

if TYPE_CHECKING:
    from asgiref.typing import ASGIReceiveCallable, ASGIReceiveEvent

__all__ = ["HOOKS", "ConsumerPresence"]

logger = logging.getLogger("djust_presence")

EVENT, ALLOWED, CONTEXT = "handle_presence_event", "still_allowed", "access_context"
CALLBACKS = {
    StepKind.JOIN: "handle_presence_join",
    StepKind.LEAVE: "handle_presence_leave",
    StepKind.UPDATE: "handle_presence_update",
}
# Methods of the consumer that are called only if it overrides them.
HOOKS = (*CALLBACKS.values(), EVENT, ALLOWED, CONTEXT)


class ConsumerPresence:
    """The presence of *consumer*, whose messages go through :meth:`receive` and :meth:`send`.

    *overridden* are the `HOOKS` to call. Wishes and reads may be called from any thread, the rest on the loop only.
    """

    def __init__(
        self, consumer: Any, overridden: Collection[str], receive: ASGIReceiveCallable, send: Send
    ) -> None:
        self.consumer = consumer
        self.callbacks = Callbacks(consumer)
        self.alone = connection_id()  # the user id if there is neither a user nor a session
        self.visitor = ""  # the user id by the Django session
        self._username = ""  # of a user who is logged in, as it was when they connected
        self._overridden = overridden
        self._receive, self._send = receive, send
        self._tracker = get_tracker()
        self._connection = self._tracker.connect(consumer_host, self)
        self._sessions: dict[str, Session] = {}
        self._speaker: Session | None = None  # for broadcasts to other groups
        self._accepted = False
        self._asked_at: float | None = None  # when still_allowed() was asked for; None if it is not under way
        self._stop: asyncio.Task[None] | None = None  # the clean stop that its end began

    async def find_visitor(self) -> None:
        """Load the session and the user name now, in a thread: track() may run on the loop."""
        scope = self.consumer.scope
        user, session = scope.get("user"), scope.get("session")
        if is_logged_in(user):
            try:
                self._username = username_of(user)
            except SynchronousOnlyOperation:
                self._username = await database_sync_to_async(username_of)(user)
        elif session is not None:
            self.visitor = await database_sync_to_async(visitor_id)(session, False)

    # The socket

    async def receive(self) -> ASGIReceiveEvent:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            # Before the consumer's own code, which may take long, fail, or untrack by itself.
            self.end(Ending.of(close_code(message)))
        else:
            self._connection.heard()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.close":
            self.end(Ending.of(message.get("code", CloseCode.NORMAL), message.get("reason", "")))
        try:
            await self._send(message)
        # OSError by the ASGI specification; some servers raise others.
        except (OSError, RuntimeError) as error:
            self.callbacks.lost = error
            raise
        if message["type"] == "websocket.accept":
            self._accepted = True
            for session in tuple(self._sessions.values()):
                session.live()
            if self._speaker:
                self._speaker.live()

    def end(self, ending: Ending) -> None:
        """End all sessions; do nothing if they have ended. The socket is not touched: see :meth:`close`."""
        self.callbacks.stop()
        self._stop = self._connection.end(ending) or self._stop

    async def refuse(self) -> None:
        """Close the socket with "not found"."""
        self.end(Ending.of(CloseCode.NOT_FOUND))
        await self._close(CloseCode.NOT_FOUND)

    async def over(self, ending: Ending) -> None:
        """End all sessions and callbacks, as the consumer has ended; wait for a clean stop if one began."""
        self.end(ending)
        self.callbacks.cancel()
        if self._stop:
            await drained(self._stop)

    def close(self, code: CloseCode) -> None:
        """Close the socket."""
        self.end(Ending.of(code))
        self._tracker.clock.spawn(self._close(code))

    async def _close(self, code: CloseCode) -> None:
        try:
            if not self._accepted:  # otherwise the client would not get the code
                await self._send({"type": "websocket.accept"})
            await self._send({"type": "websocket.close", "code": int(code)})
        except Exception:
            logger.debug("A socket is gone.", exc_info=True)

    # Wishes

    def track(self, key: str, meta: Mapping[str, Any]) -> None:
        self._checked(key)
        user = checked_user(self.consumer.get_presence_user_id(), self._name)
        text = self._encode(meta, user)
        session = self._session(key)
        session.track(key, user, text, lasting=user != self.alone)
        self._begin(session)

    def untrack(self, key: str) -> None:
        if session := self._reader(key):
            session.untrack()

    def update(self, key: str, changes: Mapping[str, Any]) -> None:
        session = self._sessions.get(key)
        wanted = session.wanted if session else None
        if session is None or wanted is None:
            raise PresenceError(f"There is nothing to update: call track_presence({key!r}) first.")
        text = self._encode(merged(decode_meta(wanted.wish.meta).copy(), changes), wanted.wish.user)
        session.track(key, wanted.wish.user, text, wanted.lasting)

    def watch(self, key: str) -> None:
        session = self._session(key)
        session.watch(key)
        self._begin(session)

    def unwatch(self, key: str) -> None:
        session = self._sessions.pop(key, None)
        if session and not session.ended:
            session.untrack()
            self._tracker.clock.call(session.end)

    def broadcast(self, key: str, event: str, payload: Any) -> None:
        self._checked(key)
        session = self._sessions.get(key) or self._speaker
        if session is None:
            session = self._speaker = self._tracker.session(self._connection, None)
        session.broadcast(key, event, payload)
        self._begin(session)

    def _session(self, key: str) -> Session:
        session = self._sessions.get(self._checked(key))
        if session is None:
            session = self._tracker.session(self._connection, key)
            session.listen(EVENT in self._overridden)
            session = self._sessions.setdefault(key, session)
        return session

    def _begin(self, session: Session) -> None:
        if self._accepted:
            self._tracker.clock.call(session.live)

    def _encode(self, meta: Mapping[str, Any], user_id: str) -> str:
        return encode_named(meta, self.consumer.scope.get("user"), user_id, self._username)

    def _checked(self, key: str) -> str:
        route = self.consumer.scope.get("url_route") or {}
        return checked_key(key, self._name, route.get("kwargs", {}))

    @property
    def _name(self) -> str:
        return type(self.consumer).__qualname__

    # Reads

    def records(self, key: str) -> list[Record]:
        if session := self._reader(key):
            self._looker(session).look(key)
        return records(session.members() if session else lookup.members(key), gettext("Guest"))

    async def arecords(self, key: str) -> list[Record]:
        if session := self._reader(key):
            await self._looker(session).alook(key)
        return records(session.members() if session else await lookup.amembers(key), gettext("Guest"))

    def count(self, key: str) -> int:
        if session := self._reader(key):
            self._looker(session).look(key)
        return session.count() if session else lookup.count(key)

    async def acount(self, key: str) -> int:
        if session := self._reader(key):
            await self._looker(session).alook(key)
        return session.count() if session else await lookup.acount(key)

    def _reader(self, key: str) -> Session | None:
        """Return the session that tracks or watches *key*, if there is one."""
        session = self._sessions.get(self._checked(key))
        return session if session and not session.ended else None

    def _looker(self, session: Session) -> Session:
        """Return the session whose look() to call: only one that is not live can wait for the group.

        So after accept() a new session stands in for one whose group is not served yet.
        """
        if self._accepted and not session.served:
            return self._tracker.session(self._connection, None)
        return session

    # Callbacks

    def take_in(self, session: Session) -> asyncio.Task[None] | None:
        for entry in session.take().entries:
            if isinstance(entry, Event):
                self.callbacks.put(partial(self._tell_event, session.owner, entry))
            elif (name := CALLBACKS.get(entry.what, "")) in self._overridden:
                self.callbacks.put(partial(self._tell_step, name, session.owner, entry))
        return self.callbacks.task

    async def _tell_event(self, key: str, event: Event) -> None:
        await self.callbacks.tell(
            self.consumer.handle_presence_event, lambda: (key, event.name, event.payload)
        )

    async def _tell_step(self, name: str, key: str, step: Step) -> None:
        await self.callbacks.tell(
            getattr(self.consumer, name), lambda: (key, record(step.user, step.member, gettext("Guest")))
        )

    @property
    def has_context(self) -> bool:
        return CONTEXT in self._overridden

    def check(self, fresh: Any, kind: Hashable) -> bool:
        if ALLOWED not in self._overridden:
            return False
        now = self._tracker.clock.now
        if self._asked_at is None:
            self._asked_at = now
            self.callbacks.put(partial(self._check, fresh, kind), first=True)
        elif now - self._asked_at >= CHECK_WAIT:  # a handler, or the check itself, has been running since
            self.close(CloseCode.RETRY)
        return True

    async def _check(self, fresh: Any, kind: Hashable) -> None:
        user = self.consumer.scope.get("user")
        if fresh is not None:
            refresh_user(user, fresh)
        try:
            allowed = await self.callbacks.call(self.consumer.still_allowed, user)
        except PermissionDenied:
            allowed = False
        except (OperationalError, InterfaceError) as error:  # there is no database to ask
            self._asked_at = None
            consumer_host.check_failed(self, error, kind)
            return
        except Exception:
            user_code.log(
                logger.exception,
                "still_allowed() failed for a consumer %s; its socket is closed.",
                self._name,
                of=self._name,
            )
            self.close(CloseCode.FAILED)
            return
        self._asked_at = None
        consumer_host.check_worked(self, kind)
        if not allowed:
            self.close(CloseCode.FORBIDDEN)
