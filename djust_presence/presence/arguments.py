"""Checks of the arguments of queries, and the records for their answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from django.utils.translation import gettext

from ..keys import checked_key, is_whole, user_id_of
from ..state.order import Spot
from ..state.records import Member, records

__all__ = ["Record", "Slice", "UserQuery", "checked_keys"]

U = TypeVar("U")
Record = dict[str, Any]


def checked_keys(keys: Iterable[str], owner: str) -> list[str]:
    """Return *keys*, which *owner* was given, without duplicates. Raises ``TypeError`` or ``PresenceKeyError``."""
    return [*dict.fromkeys(checked_key(key, owner) for key in _several(keys, "keys"))]


def _several(given: Iterable[U], what: str) -> list[U]:
    if isinstance(given, str):
        raise TypeError(f"Pass the {what} as a list or another iterable, not as one text: {given!r:.300}.")
    return [*given]


class Slice(NamedTuple):
    """A part of the records of the group *key*, in their order; all of them without *limit* and *after*."""

    key: str
    limit: int | None
    after: Spot | None

    @classmethod
    def of(cls, key: str, limit: Any, after: Any) -> Slice:
        """Check the arguments of ``presence.list()``."""
        checked_key(key, "presence.list()")
        if limit is not None:
            fault = f"limit is a number of records, 0 or above, not {limit!r:.300}."
            if isinstance(limit, bool) or not isinstance(limit, int):
                raise TypeError(fault)
            if limit < 0:
                raise ValueError(fault)
        return cls(key, limit, None if after is None else _sort_key(after))

    @property
    def is_all(self) -> bool:
        return self.limit is None and self.after is None

    def records(self, members: Mapping[str, Member]) -> list[Record]:
        """Return the records of *members*, which are this part of the group."""
        return records(members, gettext("Guest"))


def _sort_key(record: Any) -> Spot:
    """Return the fields of *record* by which records are ordered."""
    fault = (
        "after is a record from before, a dictionary with its 'joined_at' (a number) and 'id' (a text), not "
        f"{record!r:.300}."
    )
    if not isinstance(record, Mapping):
        raise TypeError(fault)
    if not {"joined_at", "id"} <= record.keys():
        raise ValueError(fault)
    joined_at, user = record["joined_at"], record["id"]
    if isinstance(joined_at, bool) or not isinstance(joined_at, int | float) or not isinstance(user, str):
        raise TypeError(fault)
    try:
        joined_at = float(joined_at)
    except OverflowError as error:
        raise ValueError(fault) from error
    if joined_at != joined_at or not is_whole(user):  # NaN has no place in an order
        raise ValueError(fault)
    return joined_at, user


class UserQuery(NamedTuple, Generic[U]):
    """A question about *users*: as given, the id of each, and the distinct ids to ask the store about."""

    key: str
    users: list[U]
    each: list[str | None]
    ids: list[str]

    @classmethod
    def of(cls, key: str, users: Iterable[U], owner: str) -> UserQuery[U]:
        """Check the *users* that *owner* was given."""
        checked_key(key, owner)
        given = _several(users, "users")
        each = [user_id_of(user) for user in given]
        return cls(key, given, each, [*dict.fromkeys(user for user in each if user is not None)])

    def records(self, answer: Sequence[Member | None]) -> list[Record]:
        """Return the records of the users who are present, oldest first."""
        return records(self._found(answer), gettext("Guest"))

    def present(self, answer: Sequence[Member | None]) -> list[U]:
        """Return the given users who are present."""
        found = self._found(answer)
        return [given for given, user in zip(self.users, self.each, strict=True) if user in found]

    def _found(self, answer: Sequence[Member | None]) -> dict[str, Member]:
        return {user: member for user, member in zip(self.ids, answer, strict=True) if member}
