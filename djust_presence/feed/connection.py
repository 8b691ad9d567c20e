"""The rooms of a page's connection, behind a socket of its own or beside a live page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from time import monotonic
from typing import Any, ClassVar, Self
from weakref import ref

from django.http import HttpResponse

from ..codes import CloseCode
from ..hosts import sessions
from ..hosts.access import Visitor
from ..hosts.outgoing import encode
from ..hosts.parts import OnDemand, offer
from ..hosts.request import LiveRequest
from ..hosts.socket import Socket
from ..hosts.surroundings import Surroundings, surroundings_of
from ..hosts.threads import spawn
from ..hosts.users import refresh_users
from ..hosts.workers import workers
from ..identity import connection_id
from ..rates import TokenBucket, user_code
from ..tracker import Session
from .frames import Wants
from .given import LONGEST_ID, MAX_ROOMS, checked_meta, checked_room, wants_of
from .identity import Identity, visitor_of
from .people import public_fields
from .room import Room
from .tickets import BadTicket, Ticket

__all__ = ["Feed"]

logger = logging.getLogger("djust_presence")

JOINS_PER_SECOND = 10  # rooms that it is not in yet
MAX_EARLY = 2 * MAX_ROOMS  # frames that wait until their sender's identity is known
IDLE = 30.0  # seconds until a socket without rooms is closed


@offer
class Feed(OnDemand):
    """All rooms of one connection."""

    __slots__ = (
        "__weakref__",
        "_alone",
        "_closes",
        "_early",
        "_identity",
        "_idle_since",
        "_joins",
        "_rooms",
        "_token",
        "request",
        "socket",
        "surroundings",
        "visitor",
    )

    kinds: ClassVar[frozenset[str]] = frozenset({"hello", "join", "leave", "update", "send"})
    visitor: Visitor
    surroundings: Surroundings | None
    socket: Socket

    def __init__(self, request: LiveRequest, identity: Identity | None = None) -> None:
        self.request = request
        self._identity = identity  # once it is known
        self._token = ""  # the user id by the browser's token, if it has sent one
        self._alone = ""  # the user id of this connection, if there is no other
        self._rooms: dict[str, Room] = {}
        self._joins = TokenBucket(JOINS_PER_SECOND, 2 * MAX_ROOMS)
        self._early: list[dict[str, Any]] = []
        self._closes = False  # True if its socket is closed when it has no room
        self._idle_since = 0.0

    # Its socket

    @classmethod
    def answer(cls, request: LiveRequest) -> HttpResponse:
        """Answer the request of a socket, in its thread: go live."""
        sessions.load(request)
        feed = cls(request, Identity.of(request))
        feed.visitor, feed.surroundings = Visitor.of(request), surroundings_of(request)
        if not sessions.finish(request):
            return HttpResponse(status=401)
        # A socket keeps its request for hours, thousands of them, and there is no page to show messages in.
        request.reopen_messages(None)
        request.resolver_match = None
        response = HttpResponse()
        request.go_live(feed, response)
        return response

    def begin(self, socket: Socket) -> None:
        self.socket = socket
        self._closes = True
        socket.add(self)
        self._watch_idleness()

    @classmethod
    def beside(cls, socket: Any) -> Self:
        feed = cls(socket.request.twin())
        feed.socket, feed.surroundings = socket, socket.behind.surroundings
        spawn(feed._find_out())
        return feed

    async def _find_out(self) -> None:
        """Find out the identity of a live page's visitor, and begin."""
        try:
            identity = await workers.run(partial(_identify, self.request, self.surroundings or nullcontext))
        except Exception:
            user_code.log(
                logger.exception,
                "Could not identify the visitor of the page at %.200r, which joins rooms.",
                self.socket.path,
            )
            self.socket.close(CloseCode.RETRY, "unchecked")
            return
        self._identity = identity
        early, self._early = self._early, []
        for frame in early:
            if not self.socket.over:
                self._take_in(frame)

    def user_is(self, user: Any) -> None:
        refresh_users(self.request, user)

    @classmethod
    async def check(cls, parts: Sequence[Self]) -> None:
        for feed in parts:
            for room in tuple(feed._rooms.values()):
                room.check()

    def _watch_idleness(self) -> None:
        if self._closes and not self._rooms:
            loop = asyncio.get_running_loop()
            self._idle_since = loop.time()
            loop.call_later(IDLE, _close_if_idle, ref(self), self._idle_since)

    # For its rooms

    @property
    def user_id(self) -> str:
        found = (self._identity and self._identity.user_id) or self._token
        if not found and not self._alone:
            self._alone = connection_id()
        return found or self._alone

    @property
    def username(self) -> str:
        return self._identity.name if self._identity else ""

    @property
    def lasting(self) -> bool:
        return self.user_id != self._alone

    def session(self, owner: Any) -> Session:
        return self.socket.connection.session(owner)

    def put(self, text: str) -> None:
        self.socket.put(text)

    def forget(self, room: Room) -> None:
        for name in [name for name, one in self._rooms.items() if one is room]:
            del self._rooms[name]
        self._watch_idleness()

    # Incoming

    def take_in(self, frame: dict[str, Any], size: int) -> None:
        if self._identity is not None:
            self._take_in(frame)
        elif len(self._early) < MAX_EARLY:
            self._early.append(frame)
        else:
            self.socket.refuse("too-many", "Too many frames are waiting.")

    def _take_in(self, frame: dict[str, Any]) -> None:
        take_in: dict[str, Callable[[dict[str, Any]], None]] = {
            "hello": self._greet,
            "join": self._join,
            "leave": self._leave,
            "update": self._update,
            "send": self._send,
        }
        try:
            take_in[frame["type"]](frame)
        except ValueError as error:
            self.socket.refuse("bad-frame", str(error))

    def _greet(self, frame: dict[str, Any]) -> None:
        if not self._rooms:
            self._token = visitor_of(frame.get("visitor"))

    def _join(self, frame: dict[str, Any]) -> None:
        name, wants, meta = (
            checked_room(frame.get("room")),
            wants_of(frame.get("want")),
            checked_meta(frame.get("meta") or {}),
        )
        room = self._rooms.get(name)
        try:
            ticket = Ticket.read(
                frame.get("ticket"), self.request, (self._identity and self._identity.login) or None
            )
            if ticket.room != name:
                raise BadTicket("bad-ticket")
        except BadTicket as refusal:
            self._refuse(name, refusal.code)
            return
        if room is None:
            if len(self._rooms) >= MAX_ROOMS or not self._joins.take(monotonic()):
                self._refuse(name, "too-many")
                return
            room = self._rooms[name] = Room(self, ticket)
        fields = public_fields(ticket.fields)
        room.join(ticket, Wants(wants.people, wants.number, wants.some, fields), meta)

    def _refuse(self, name: str, code: str) -> None:
        if room := self._rooms.get(name):
            room.refuse(code)
        else:
            self.put(encode("refused", room=name, code=code))

    def _leave(self, frame: dict[str, Any]) -> None:
        if room := self._rooms.get(checked_room(frame.get("room"))):
            room.leave()
            self.forget(room)

    def _update(self, frame: dict[str, Any]) -> None:
        if room := self._rooms.get(checked_room(frame.get("room"))):
            room.update(frame.get("meta"))

    def _send(self, frame: dict[str, Any]) -> None:
        event = frame.get("event")
        if not isinstance(event, str) or not 0 < len(event) <= LONGEST_ID:
            raise ValueError(f"The event has no name of at most {LONGEST_ID} characters.")
        if room := self._rooms.get(checked_room(frame.get("room"))):
            room.send(event, frame.get("payload"))


def _identify(request: LiveRequest, surroundings: Surroundings) -> Identity:
    with surroundings():
        try:
            return Identity.of(request)
        finally:
            sessions.finish(request)


def _close_if_idle(feed: ref[Feed], since: float) -> None:
    if (one := feed()) and not one._rooms and one._idle_since == since:
        one.socket.close(CloseCode.NORMAL, "no rooms")
