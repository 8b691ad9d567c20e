"""A room of a page: one group that the page tracks or watches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any, Protocol

from django.http import HttpRequest

from ..hosts.outgoing import encode
from ..hosts.surroundings import Surroundings
from ..keys import opaque_id
from ..rates import TokenBucket
from ..state.json_text import encode as encode_json
from ..state.metas import merged
from ..state.records import Member
from ..tracker import Session
from .asking import asking_of_loop
from .frames import Wants
from .given import checked_meta, meta_of, script_keys
from .group_rooms import GroupRooms
from .people import person
from .rights import Right, has_to_be_asked, is_old
from .tickets import Ticket

__all__ = ["Room", "RoomPage"]

PER_SECOND = 10  # events, and the same number of updates
MAX_PAYLOAD = 4 * 1024  # characters of JSON


class RoomPage(Protocol):
    """The page of a room."""

    @property
    def request(self) -> HttpRequest: ...
    @property
    def surroundings(self) -> Surroundings | None: ...
    @property
    def user_id(self) -> str: ...
    @property
    def username(self) -> str: ...
    @property
    def lasting(self) -> bool:
        """True if its user may come back on another connection."""

    def session(self, owner: Any) -> Session: ...
    def put(self, text: str) -> None: ...
    def forget(self, room: Room) -> None: ...


class Room:
    """One room of *page*."""

    __slots__ = (
        "__weakref__",
        "_events",
        "_given",
        "_next",
        "_page",
        "_session",
        "_ticket",
        "_timer",
        "_updates",
        "wants",
    )

    def __init__(self, page: RoomPage, ticket: Ticket) -> None:
        self._page = page
        self._ticket = ticket
        self._next: tuple[Ticket, Wants, Mapping[str, Any]] | None = None  # once it is allowed
        self.wants = Wants()
        self._given: dict[str, Any] = {}  # the script's part of the meta
        self._events: TokenBucket | None = None
        self._updates: TokenBucket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._session = page.session(self)
        self._session.be_aside()
        self._session.extend(GroupRooms, self)

    def put(self, text: str) -> None:
        self._page.put(text)

    # Rights

    @property
    def right(self) -> Right:
        ticket = self._next[0] if self._next else self._ticket
        return Right(self._page.request, ticket, self._page.surroundings)

    @property
    def over(self) -> bool:
        return self._session.ended

    def join(self, ticket: Ticket, wants: Wants, meta: Mapping[str, Any]) -> None:
        """Track or watch as *ticket* allows, and send the page what it wants, unless the right to that has ended."""
        self._next = ticket, wants, meta
        if is_old(ticket):
            asking_of_loop().ask(self)
        else:
            self._begin()

    def check(self) -> None:
        """Check if the right has ended; renew the ticket."""
        if has_to_be_asked(self._ticket):
            asking_of_loop().ask(self)
        else:
            self._renew()

    def answered(self, code: str) -> None:
        if code:
            self.refuse(code)
        elif self._next:
            self._begin()
        else:
            self._renew()

    def refuse(self, code: str) -> None:
        """End the room, and send the page the reason."""
        self.put(encode("refused", room=self._ticket.room, code=code))
        self.leave()
        self._page.forget(self)

    def _renew(self) -> None:
        if self._ticket.renewed():
            self._say_joined()

    # Presence

    def _begin(self) -> None:
        assert self._next
        (self._ticket, self.wants, meta), self._next = self._next, None
        kept = {name: self._given[name] for name in self._keys & self._given.keys()}
        try:
            self._given = self._merged(kept, meta)
        except ValueError:  # the two parts together are too large
            self._given = {}
        if self._ticket.tracks:
            try:
                self._track()
            except ValueError:  # the ticket's own meta is too large
                self.refuse("bad-ticket")
                return
        else:
            self._session.untrack()
            self._session.watch(self._ticket.key)
        self._session.live()
        self._say_joined(first=True)
        self._session.refresh()  # its wants may have changed

    @property
    def _keys(self) -> frozenset[str]:
        return script_keys(self._ticket)

    def _merged(self, given: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
        """Return the script's part of the meta: *given*, updated with *meta*. Raises ``ValueError``."""
        said = merged(given, {name: meta[name] for name in self._keys & meta.keys()})
        if said:
            self._encode(said)
        return said

    def _encode(self, given: Mapping[str, Any]) -> str:
        page = self._page
        return meta_of(self._ticket, given, page.request, page.user_id, page.username)

    def _track(self) -> None:
        self._session.track(
            self._ticket.key, self._page.user_id, self._encode(self._given), self._page.lasting
        )

    def _say_joined(self, *, first: bool = False) -> None:
        fields: dict[str, Any] = {"room": self._ticket.room}
        if wanted := self._session.wanted:
            key, user = wanted.wish[:2]
            fields["me"] = opaque_id(key, user)
            if first:
                group: Any = self._session.group
                there = group and group.replica.member(user)
                member = Member(1, there.joined_at if there else wanted.at, wanted.wish.meta)
                fields["self"] = person(key, user, member, self.wants.fields, fields["me"])
            fields["meta_keys"] = sorted(self._keys)
        if renewed := self._ticket.renewed():
            self._ticket = renewed
            fields["ticket"] = renewed.sign(self._page.request)
        self.put(encode("joined", **fields))

    def update(self, meta: object) -> None:
        """Merge *meta* into the script's part of the meta. Raises ``ValueError``."""
        checked = checked_meta(meta)
        if not self._session.wanted or self.over:
            return
        self._given = self._merged(self._given, checked)
        if self._updates is None:
            self._updates = TokenBucket(PER_SECOND, PER_SECOND)
        if self._timer:
            return
        if self._updates.take(monotonic()):
            self._track()
        else:
            self._timer = self._session.clock.later(1 / PER_SECOND, self._update_late)

    def _update_late(self) -> None:
        self._timer = None
        if self._session.wanted and not self.over:
            self._track()

    def send(self, event: str, payload: Any) -> None:
        """Send an event to the others of the group; drop it above the rate. Raises ``ValueError``."""
        if len(encode_json(payload)) > MAX_PAYLOAD:
            raise ValueError(f"The payload takes more than {MAX_PAYLOAD} characters as JSON.")
        if self._events is None:
            self._events = TokenBucket(PER_SECOND, PER_SECOND)
        group: Any = self._session.group
        if self._session.wanted and group and self._events.take(monotonic()):
            group.extensions[GroupRooms].send(self._session, event, payload)

    def leave(self) -> None:
        """End the room at once: the page stays, but has left the group."""
        if not self.over:
            self._session.untrack()
            self._session.end()
