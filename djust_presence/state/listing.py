"""The records of a group: made once for each state of it, and copied for callers that use them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from .metas import decode_meta
from .records import Member, records

__all__ = ["Listing", "Members", "Presences", "presences"]

Record = dict[str, Any]

# Methods of a list that neither return its items nor change it.
HARMLESS = frozenset(
    {
        "__class_getitem__",
        "__getattribute__",
        "__getitem__",
        "__hash__",
        "__init__",
        "__len__",
        "__new__",
        "__sizeof__",
    }
)


class Listing:
    """Records that must not be changed, oldest first."""

    __slots__ = ("_copies", "records")

    def __init__(self, members: Mapping[str, Member], guest: str) -> None:
        self.records = records(members, guest)
        nested = {user for user, member in members.items() if decode_meta(member.meta).nested}
        self._copies = [copy.deepcopy if one["id"] in nested else _copy for one in self.records]

    def copy(self, at: int) -> Record:
        return self._copies[at](self.records[at])


def _copy(record: Record) -> Record:
    made = record.copy()
    made["meta"] = made["meta"].copy()
    return made


class Members(dict[str, Member]):
    """The members of a group at one time, with their records for each name of guests."""

    __slots__ = ("listings",)

    def __init__(self, members: Mapping[str, Member]) -> None:
        super().__init__(members)
        self.listings: dict[str, Listing] = {}


class Presences(list[Record]):
    """The records of a *listing* for one caller, which may change them: each is copied before its first use."""

    __slots__ = ("_copied", "_listing")

    def __init__(self, listing: Listing) -> None:
        super().__init__(listing.records)
        self._listing: Listing | None = listing  # while some records may still be those of the listing
        self._copied: set[int] = set()

    @property
    def untouched(self) -> Listing | None:
        """The listing, if no record of it has been used."""
        return None if self._copied else self._listing

    def own(self) -> None:
        self._copy(range(len(self)))
        self._listing = None

    def __getitem__(self, index: Any) -> Any:
        list.__getitem__(self, index)  # raises as lists do
        places = range(len(self))[index]
        self._copy(places if isinstance(places, range) else [places])
        return list.__getitem__(self, index)

    def _copy(self, places: Iterable[int]) -> None:
        if self._listing is not None:
            for place in places:
                if place not in self._copied:
                    list.__setitem__(self, place, self._listing.copy(place))
                    self._copied.add(place)

    def __radd__(self, other: list[Any]) -> list[Any]:
        self.own()
        return list.__add__(other, self)

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


def _owning(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Presences, /, *args: Any, **kwargs: Any) -> Any:
        self.own()
        return method(self, *args, **kwargs)

    return call


for _name, _method in vars(list).items():
    if callable(_method) and _name not in HARMLESS:
        setattr(Presences, _name, _owning(_method))


def presences(members: Mapping[str, Member], guest: str) -> list[Record]:
    """Return the records of *members*, oldest first, for one caller. *guest* is the name for users without one."""
    if not isinstance(members, Members):
        return Presences(Listing(members, guest))
    listing = members.listings.get(guest)
    if listing is None:
        listing = members.listings[guest] = Listing(members, guest)
    return Presences(listing)
