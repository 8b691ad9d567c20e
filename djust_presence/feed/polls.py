"""The pure decisions about polling pages: their times, and the state that they carry from one poll to the next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple, Self

from django.core.signing import BadSignature, Signer
from django.utils.crypto import salted_hmac

from ..state.json_text import decode
from .frames import Wants
from .given import checked_meta, checked_room, wants_of

__all__ = ["MAX_BYTES", "Asked", "LeaseState", "Mark", "Poll", "Times", "digest", "lease_of", "ref_of"]

MAX_BYTES = 64 * 1024  # bytes of a request

A_MINUTE = 60.0  # a browser wakes a hidden page once in this time, whatever timers it has set
ALONE = 13.0
IN_COMPANY = 5.0
HIDDEN = 54.0
JITTER = 0.1  # share of a pause, more or less, so that pages do not poll in step

PAGE = re.compile(r"[A-Za-z0-9_-]{22}")
_signer = Signer(salt="djust_presence.poll")


class Times(NamedTuple):
    """The times of a polling page and its lease, in seconds.

    *unheard*: a hidden page polls once a minute. If its poll failed as an outage ended, the next one follows a
    minute later, and a request may wait for the store for a while. No lease may be claimed before all had that turn.

    *pause* is that of all leases: half of LEASE_TTL. A longer one would let processes be claimed that an outage kept
    from renewing, as the first call after a silence decides if it was a pause. Visible pages poll more often than
    that; otherwise, on a site without open sockets, each poll would end a pause, and no lease could ever be claimed.

    *ttl*: between two answered polls of a hidden page one may fail, as in a restart of the server, and a silence
    too short to be a pause may delay the next.
    """

    ttl: float
    unheard: float
    pause: float
    alone: float
    in_company: float
    hidden: float

    @classmethod
    def of(cls, lease_ttl: float) -> Times:
        pause, unheard = lease_ttl / 2, A_MINUTE + lease_ttl / 6
        alone = min(ALONE, pause * ALONE / 15)  # below the pause, with the jitter and the time of the request
        return cls(2 * unheard + pause, unheard, pause, alone, min(IN_COMPANY, alone), HIDDEN)

    def every(self, hidden: bool, in_company: bool, chance: float) -> float:
        """Return the seconds until the next poll; *chance* is a number from 0 to 1."""
        pause = self.hidden if hidden else self.in_company if in_company else self.alone
        return round(pause * (1 + JITTER * (2 * chance - 1)), 2)


def lease_of(page: str, user: str) -> str:
    """Return the lease of the page with the random id *page*, while *user* is its user."""
    return (
        "page-" + salted_hmac("djust_presence.poll.lease", page + user, algorithm="sha256").hexdigest()[:32]
    )


def ref_of(lease: str, key: str) -> str:
    """Return the ref in the group *key* of the page with this *lease*."""
    return salted_hmac("djust_presence.poll.ref", lease + key, algorithm="sha256").hexdigest()[:32]


class LeaseState(NamedTuple):
    """The state of a page's lease after a poll, which the page sends back, signed, with the next one.

    A page cannot hide a room in which it takes part: all the rooms in *joined* have to be among those
    that the next poll names, so that the right to each of them is looked at.
    """

    seq: int
    lease: str
    joined: frozenset[str]  # room ids

    def sign(self) -> str:
        return _signer.sign(f"{self.seq} {self.lease} {','.join(sorted(self.joined))}")

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the state that was signed as *text*; None if it was not signed here."""
        try:
            seq, lease, joined = _signer.unsign(text).split(" ")
        except BadSignature:
            return None
        return cls(int(seq), lease, frozenset(filter(None, joined.split(","))))


class Mark(NamedTuple):
    """The state of a room as last sent to a page, which sends it back unchanged.

    It is not signed: a page that sends another one only harms itself.
    """

    tag: str = ""  # of the group's last Change; empty if that is not known
    joined: str = ""  # digest of the page's presence; empty if it only watches
    wanted: str = ""  # digest of its wants
    in_company: bool = False  # True if the list in it has others

    @property
    def text(self) -> str:
        return ":".join([self.tag, self.joined, self.wanted, "+" if self.in_company else ""])

    @classmethod
    def read(cls, text: str) -> Mark:
        tag, joined, wanted, company = text.split(":") if text.count(":") == 3 else ("",) * 4
        return cls(tag, joined, wanted, company == "+")


def digest(*texts: str) -> str:
    return blake2b("\0".join(texts).encode(), digest_size=6).hexdigest()


class Asked(NamedTuple):
    """A room of a poll, with its ticket not read yet."""

    room: str
    ticket: object
    wants: Wants
    mark: Mark
    meta: Mapping[str, Any]

    @classmethod
    def of(cls, given: object) -> Self:
        if not isinstance(given, dict):
            raise ValueError("A room is not an object.")
        meta = checked_meta(given.get("meta") or {})
        room, wants = checked_room(given.get("room")), wants_of(given.get("want") or {})
        return cls(room, given.get("ticket"), wants, Mark.read(str(given.get("tag") or "")), meta)


class Poll(NamedTuple):
    """A poll as a page sends it."""

    page: str
    state: str  # as it was signed; empty with the first poll
    visitor: object
    rooms: list[Asked]
    left: list[Asked]
    hidden: bool
    bye: bool

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Return the poll in *body*. Raises ``ValueError`` if it is not one."""
        given = decode(body.decode())
        page = given.get("page") if isinstance(given, dict) else None
        if not isinstance(page, str) or not PAGE.fullmatch(page):
            raise ValueError("The page has no id of 22 url-safe characters.")
        rooms, left = given.get("rooms") or [], given.get("left") or []
        if not isinstance(rooms, list) or not isinstance(left, list):
            raise ValueError("The rooms are not a list.")
        return cls(
            page,
            str(given.get("seq") or ""),
            given.get("visitor"),
            [Asked.of(one) for one in rooms],
            [Asked.of(one) for one in left],
            given.get("hidden") is True,
            given.get("bye") is True,
        )
