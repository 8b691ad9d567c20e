"""The types shared by the store, the processes and their messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, StrEnum, auto
from typing import Any, NamedTuple

from .metas import decode_meta

__all__ = [
    "NOWHERE",
    "SCHEMA",
    "Change",
    "Join",
    "Leave",
    "Member",
    "Op",
    "Place",
    "Renewal",
    "Reply",
    "Snapshot",
    "Status",
    "Step",
    "StepKind",
    "Work",
    "record",
    "records",
]

# The shapes of a store's rows and of the messages between processes. It rises when one of them changes, so that two
# versions of this package that run at the same time never misread each other.
SCHEMA = 2


class Member(NamedTuple):
    """One user of a group: open connections, when the first of them came (epoch seconds), and the encoded meta."""

    connections: int
    joined_at: float
    meta: str


class Place(NamedTuple):
    """A point in a group's history: the life of the group, the number of Changes in it, and the last one's tag."""

    epoch: str
    version: int
    tag: str


NOWHERE = Place("", 0, "")


class Change(NamedTuple):
    """One atomic step of a group, with the absolute record of every user it touched (None: gone) and the count after.

    *before* has the records that these users had until then (None: not there). It is known to the process that
    made the Change, and does not travel.
    """

    key: str
    place: Place
    prev: str
    records: Mapping[str, Member | None]
    count: int  # type: ignore[assignment]  # a tuple's own count is of no use here
    before: Mapping[str, Member | None] = {}

    @property
    def steps(self) -> list[Step]:
        """The transition of each user, where it is known."""
        return [Step(user, was, self.records[user]) for user, was in self.before.items()]

    def without(self, user: str) -> Change:
        """Return the same Change without the step of *user*."""
        return self._replace(before={one: was for one, was in self.before.items() if one != user})

    def without_join(self, user: str) -> Change:
        """Return the same Change without the join of *user*, if it has one."""
        return self if self.before.get(user) else self.without(user)

    def pack(self) -> list[Any]:
        """Return the Change as plain lists and dicts, for a message that has the key itself."""
        return [
            *self.place,
            self.prev,
            {user: member and list(member) for user, member in self.records.items()},
            self.count,
        ]

    @classmethod
    def unpack(cls, key: str, packed: Sequence[Any]) -> Change:
        epoch, version, tag, prev, records, count = packed
        members = {user: member and Member(*member) for user, member in records.items()}
        return cls(key, Place(epoch, version, tag), prev, members, count)


class Snapshot(NamedTuple):
    """A group as the store has it; ``place`` is None when the store knows no such group."""

    place: Place | None
    members: dict[str, Member]


class Join(NamedTuple):
    """Be present in *key* as *user* through the connection *ref*; the same ref again is an update.

    *epoch* names the group's life if this join begins it, *tag* the Change that it makes. *joined_at* and *said*,
    the time at which *meta* was said, are None for now by the store's clock; a process that hands a ref back to a
    store that has lost it gives them.
    """

    seq: int
    key: str
    ref: str
    user: str
    meta: str
    epoch: str
    tag: str
    joined_at: float | None = None
    said: float | None = None


class Leave(NamedTuple):
    """Take the connection *ref* out of *key*, unless the store's clock is past *by*.

    A leave that an outage has delayed is void: its user may have come back elsewhere, and not be known there yet.
    """

    seq: int
    key: str
    ref: str
    tag: str
    by: float | None = None


Op = Join | Leave


class Status(StrEnum):
    """The gate's answer to a write."""

    OK = "ok"
    SEEN = "seen"  # it ran before: no effect this time
    LATE = "late"  # a leave that came too late: no effect, but its number is used
    DEAD = "dead"  # the lease is unknown or claimed, or the store has lost earlier writes: no effect


class Reply(NamedTuple):
    """The answer to an Op; without a Change if nothing changed.

    For a join, *epoch* is the life of the group in which it was confirmed, and *said* when its meta was said.
    """

    status: Status
    epoch: str = ""
    change: Change | None = None
    said: float = 0.0


class Renewal(NamedTuple):
    """The answer to a renewal, which was carried out at *at* by the store's clock.

    *late* means that the lease had expired, though nobody had claimed it yet.
    """

    status: Status
    late: bool = False
    places: Mapping[str, Place | None] = {}
    at: float = 0.0


class Work(NamedTuple):
    """The refs that a dead lease has left behind in one group."""

    lease: str
    key: str
    refs: list[str]


class StepKind(Enum):
    """The kind of a step."""

    JOIN = auto()
    LEAVE = auto()
    UPDATE = auto()  # another meta
    COUNT = auto()  # only the number of connections


class Step(NamedTuple):
    """One user's transition: None before is a join, None after is a leave."""

    user: str
    before: Member | None
    after: Member | None

    @property
    def what(self) -> StepKind:
        if self.before is None or self.after is None:
            return StepKind.JOIN if self.after else StepKind.LEAVE
        return StepKind.UPDATE if self.before.meta != self.after.meta else StepKind.COUNT

    @property
    def member(self) -> Member:
        """The member after the step; for a leave, the last known one."""
        member = self.after or self.before
        assert member
        return member


def record(user: str, member: Member, guest: str) -> dict[str, Any]:
    """Return the record for templates and callbacks, a plain dict that the caller may change.

    The meta's keys stand flat and, as a whole, under ``meta``; ``id``, ``joined_at`` and ``connections`` win a
    clash. *guest* is the name for a meta without one.
    """
    meta = decode_meta(member.meta)
    return {
        **meta.copy(),
        "name": meta.name or guest,
        "id": user,
        "joined_at": member.joined_at,
        "connections": member.connections,
        "meta": meta.copy(),
    }


def records(members: Mapping[str, Member], guest: str) -> list[dict[str, Any]]:
    """Return the records of a group, oldest first."""
    ordered = sorted(members.items(), key=lambda item: (item[1].joined_at, item[0]))
    return [record(user, member, guest) for user, member in ordered]
