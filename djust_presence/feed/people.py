"""The people of a group as JSON for browsers: opaque ids, and of a meta only what is public."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from ..conf import get_settings
from ..keys import opaque_id
from ..state.metas import decode_meta
from ..state.records import Member

__all__ = ["Person", "people", "person", "public_fields", "shown_count"]

Person = dict[str, Any]

RESERVED = frozenset(
    {"id", "joined_at", "user_id"}
)  # the first two clash with a person's own fields; the third is a primary key


def public_fields(more: Iterable[str] = ()) -> frozenset[str]:
    """Return the keys of a meta that browsers may see: PUBLIC_META and *more*, but none that begins with ``_``."""
    return _public(tuple(get_settings().public_meta), tuple(more))


@lru_cache(maxsize=1024)  # one object for all pages that see the same
def _public(*names: tuple[str, ...]) -> frozenset[str]:
    named = set().union(*names) - RESERVED
    return frozenset(name for name in named if not name.startswith("_"))


def person(key: str, user: str, member: Member, fields: frozenset[str], opaque: str = "") -> Person:
    """Return *user* of the group *key* as a browser may see them, with the *fields* of the meta.

    *opaque* is their id in pages, if it is known already. ``{"id": opaque, "joined_at": epoch seconds, "name": text, …}``,
    without a name if the meta has none.
    """
    meta = decode_meta(member.meta)
    shown = {name: value for name, value in meta.values.items() if name in fields}
    if "name" in shown:
        shown["name"] = meta.name
        if not meta.name:
            del shown["name"]
    return {"id": opaque or opaque_id(key, user), "joined_at": member.joined_at, **shown}


def people(key: str, members: Mapping[str, Member], fields: frozenset[str]) -> list[Person]:
    """Return all *members* of the group *key*, oldest first."""
    ordered = sorted(members.items(), key=lambda item: (item[1].joined_at, item[0]))
    return [person(key, user, member, fields) for user, member in ordered]


def shown_count(count: int) -> str:
    """Return *count* as pages show it, rounded down: ``999``, ``1.2k``, ``3.4M``. The page's script does the same."""
    for unit, sign in ((1_000_000, "M"), (1_000, "k")):
        if count >= unit:
            whole, tenth = divmod(count * 10 // unit, 10)
            return f"{whole}.{tenth}{sign}" if tenth else f"{whole}{sign}"
    return str(count)
