"""Queries of the users who are present."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ..keys import checked_key, user_id_of
from .arguments import Record, Slice, UserQuery, checked_keys
from .store import aswept_backend, swept_backend

__all__ = [
    "acount",
    "acount_many",
    "ais_present",
    "alist",
    "amembers",
    "awhich",
    "count",
    "count_many",
    "is_present",
    "list",
    "members",
    "which",
]

U = TypeVar("U")


def list(key: str, limit: int | None = None, after: Mapping[str, Any] | None = None) -> builtins.list[Record]:
    """Return the records of all users present in *key*, oldest first.

    At most *limit* of them, if that is given. With *after*, an earlier record, only those after it in this
    order, even if its user has left. Raises ``TypeError`` or ``ValueError`` for another limit or record.
    """
    part = Slice.of(key, limit, after)
    backend = swept_backend(alist)
    return part.records(backend.snapshots([key])[0].members if part.is_all else backend.page(*part))


async def alist(
    key: str, limit: int | None = None, after: Mapping[str, Any] | None = None
) -> builtins.list[Record]:
    part = Slice.of(key, limit, after)
    backend = await aswept_backend()
    return part.records(
        (await backend.asnapshots([key]))[0].members if part.is_all else await backend.apage(*part)
    )


def members(key: str, users: Iterable[object]) -> builtins.list[Record]:
    """Return the records of those of *users* who are present in *key*, oldest first, in one round trip."""
    asked = UserQuery.of(key, users, "presence.members()")
    return asked.records(swept_backend(amembers).members(asked.key, asked.ids))


async def amembers(key: str, users: Iterable[object]) -> builtins.list[Record]:
    asked = UserQuery.of(key, users, "presence.members()")
    return asked.records(await (await aswept_backend()).amembers(asked.key, asked.ids))


def which(key: str, users: Iterable[U]) -> builtins.list[U]:
    """Return those of *users* who are present in *key*, in one round trip: the objects given, in the order given."""
    asked = UserQuery.of(key, users, "presence.which()")
    return asked.present(swept_backend(awhich).members(asked.key, asked.ids))


async def awhich(key: str, users: Iterable[U]) -> builtins.list[U]:
    asked = UserQuery.of(key, users, "presence.which()")
    return asked.present(await (await aswept_backend()).amembers(asked.key, asked.ids))


def count(key: str) -> int:
    """Return the number of users who are present in *key*, in constant time."""
    checked_key(key, "presence.count()")
    return swept_backend(acount).count(key)


async def acount(key: str) -> int:
    checked_key(key, "presence.count()")
    return await (await aswept_backend()).acount(key)


def count_many(keys: Iterable[str]) -> dict[str, int]:
    """Return the number of users who are present in each of *keys*, in one round trip."""
    asked = checked_keys(keys, "presence.count_many()")
    return dict(zip(asked, swept_backend(acount_many).counts(asked), strict=True))


async def acount_many(keys: Iterable[str]) -> dict[str, int]:
    asked = checked_keys(keys, "presence.count_many()")
    return dict(zip(asked, await (await aswept_backend()).acounts(asked), strict=True))


def is_present(key: str, user_id: object) -> bool:
    """Return whether the user *user_id* is present in *key*."""
    checked_key(key, "presence.is_present()")
    user, backend = user_id_of(user_id), swept_backend(ais_present)
    return user is not None and backend.member(key, user) is not None


async def ais_present(key: str, user_id: object) -> bool:
    checked_key(key, "presence.is_present()")
    user, backend = user_id_of(user_id), await aswept_backend()
    return user is not None and await backend.amember(key, user) is not None
