"""Reads of a group without a session: from memory where this process serves it, else from the store."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from ..backends.registry import get_backend
from ..conf import on_change
from ..errors import PresenceUnavailable
from ..greenlets import holds_up
from ..state.audience import UNKNOWN
from ..state.records import Member
from .mount_reads import HOLDS_UP, in_loop
from .store_outages import read_failed, read_worked
from .trackers import serving

__all__ = [
    "acount",
    "acount_and_member",
    "amember",
    "amembers",
    "count",
    "count_and_member",
    "counts",
    "member",
    "members",
    "some",
]

T = TypeVar("T")

NOBODY: tuple[int, Member | None] = (0, None)
PAUSE = 5.0  # seconds after a failed read for which pages do not wait for the store

_blind_until = 0.0


def count(key: str) -> int:
    """Return the number of users in the group, or 0 while the store does not answer.

    Raises ``PresenceError`` in a running loop when the store would have to be asked.
    """
    replica = serving(key)
    return replica.count if replica else _asked(lambda: get_backend().count(key), 0)


def members(key: str) -> Mapping[str, Member]:
    """Return the members of the group, none while the store does not answer; raises like :func:`count`."""
    replica = serving(key)
    return replica.shown() if replica else _asked(lambda: get_backend().snapshots([key])[0].members, UNKNOWN)


def member(key: str, user: str) -> Member | None:
    """Return the user *user* of the group, or None while the store does not answer; raises like :func:`count`."""
    replica = serving(key)
    return replica.member(user) if replica else _asked(lambda: get_backend().member(key, user), None)


def count_and_member(key: str, user: str) -> tuple[int, Member | None]:
    """Return :func:`count` and :func:`member`, by one read; raises like :func:`count`."""
    if replica := serving(key):
        return replica.count, replica.member(user)
    return _asked(lambda: get_backend().count_and_member(key, user), NOBODY)


def counts(keys: Sequence[str]) -> dict[str, int]:
    """Return :func:`count` of each of *keys*, by one read; raises like that."""
    found = {key: replica.count for key in keys if (replica := serving(key))}
    if asked := [key for key in keys if key not in found]:
        found |= zip(asked, _asked(lambda: get_backend().counts(asked), [0] * len(asked)), strict=True)
    return found


def some(key: str, users: Sequence[str]) -> Mapping[str, Member | None]:
    """Return :func:`member` for each of *users*, by one read; raises like that."""
    if replica := serving(key):
        return {user: replica.member(user) for user in users}
    nobody: list[Member | None] = [None] * len(users)
    return dict(zip(users, _asked(lambda: get_backend().members(key, users), nobody), strict=True))


async def acount(key: str) -> int:
    replica = serving(key)
    return replica.count if replica else await _awaited(lambda: get_backend().acount(key), 0)


async def amembers(key: str) -> Mapping[str, Member]:
    async def read() -> Mapping[str, Member]:
        return (await get_backend().asnapshots([key]))[0].members

    replica = serving(key)
    return replica.shown() if replica else await _awaited(read, UNKNOWN)


async def amember(key: str, user: str) -> Member | None:
    replica = serving(key)
    return replica.member(user) if replica else await _awaited(lambda: get_backend().amember(key, user), None)


async def acount_and_member(key: str, user: str) -> tuple[int, Member | None]:
    if replica := serving(key):
        return replica.count, replica.member(user)
    return await _awaited(lambda: get_backend().acount_and_member(key, user), NOBODY)


def _asked(read: Callable[[], T], unknown: T) -> T:
    if in_loop():
        raise holds_up(HOLDS_UP)
    if time.monotonic() < _blind_until:
        return unknown
    try:
        found = read()
    except PresenceUnavailable as error:
        return _failed(error, unknown)
    read_worked(get_backend())
    return found


async def _awaited(read: Callable[[], Awaitable[T]], unknown: T) -> T:
    if time.monotonic() < _blind_until:
        return unknown
    try:
        found = await read()
    except PresenceUnavailable as error:
        return _failed(error, unknown)
    read_worked(get_backend())
    return found


@on_change
def _forget_failure() -> None:
    global _blind_until
    _blind_until = 0.0


def _failed(error: PresenceUnavailable, unknown: T) -> T:
    global _blind_until
    _blind_until = time.monotonic() + PAUSE
    read_failed(get_backend(), error)
    return unknown
