"""The people of a group as the JSON text that pages are sent, each made once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from ..hosts.outgoing import dumps
from ..keys import opaque_id
from ..state.records import Member
from .people import person

__all__ = ["Face", "Faces", "Ids", "Members", "Order", "order"]

Order = tuple[float, str]  # oldest first


class Members(Protocol):
    """The members of a group, by user id."""

    @property
    def count(self) -> int: ...
    def member(self, user: str) -> Member | None: ...
    def shown(self) -> Mapping[str, Member]: ...


class Face(NamedTuple):
    """A person as pages see them: the opaque id, and the JSON."""

    order: Order
    id: str
    text: str


def order(user: str, member: Member) -> Order:
    return member.joined_at, user


class Ids:
    """The opaque ids of a group's members, and the members behind these."""

    def __init__(self, key: str, members: Members) -> None:
        self.key = key
        self._members = members
        self._ids: dict[str, str] = {}
        self._users: dict[str, str] | None = None  # by opaque id; None before the first search

    def of(self, user: str) -> str:
        if user not in self._ids:
            self._ids[user] = opaque_id(self.key, user)
        return self._ids[user]

    def user(self, opaque: str) -> str | None:
        """Return the member with this id."""
        if self._users is None:
            self._users = {self.of(user): user for user in self._members.shown()}
        return self._users.get(opaque)

    def moved(self, users: Iterable[str]) -> None:
        """Note that these users have joined or left."""
        for user in users:
            if self._members.member(user):
                if self._users is not None:
                    self._users[self.of(user)] = user
            elif (opaque := self._ids.pop(user, None)) and self._users is not None:
                self._users.pop(opaque, None)


class Faces:
    """Makes the faces of a group's members, with the *fields* of their metas."""

    def __init__(self, ids: Ids, fields: frozenset[str]) -> None:
        self.ids = ids
        self._fields = fields

    def of(self, user: str, member: Member) -> Face:
        shown = person(self.ids.key, user, member, self._fields, self.ids.of(user))
        return Face(order(user, member), self.ids.of(user), dumps(shown))
