"""Who is in a group, for whoever has no session there: memory where this process serves it, else the store."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from ..backends.registry import get_backend
from ..conf import on_change
from ..errors import PresenceError, PresenceUnavailable
from ..state.records import Member
from .outage import read_failed, read_worked
from .registry import serving
from .session import HOLDS_UP, UNKNOWN, in_loop

T = TypeVar("T")

PAUSE = 5.0  # after the store did not answer, a page is not made to wait for it again for so long

_blind_until = 0.0


def count(key: str) -> int:
    """How many are in the group, or 0 while the store does not answer.

    Raises ``PresenceError`` in a running loop when the store would have to be asked.
    """
    group = serving(key)
    return group.replica.count if group else _asked(lambda: get_backend().count(key), 0)


def members(key: str) -> Mapping[str, Member]:
    """Who is in the group, or nobody while the store does not answer; raises like :func:`count`."""
    group = serving(key)
    return (
        group.replica.shown() if group else _asked(lambda: get_backend().snapshots([key])[0].members, UNKNOWN)
    )


def member(key: str, user: str) -> Member | None:
    """The user *user* of the group, or None while the store does not answer; raises like :func:`count`."""
    group = serving(key)
    return group.replica.member(user) if group else _asked(lambda: get_backend().member(key, user), None)


async def acount(key: str) -> int:
    group = serving(key)
    return group.replica.count if group else await _awaited(lambda: get_backend().acount(key), 0)


async def amembers(key: str) -> Mapping[str, Member]:
    async def read() -> Mapping[str, Member]:
        return (await get_backend().asnapshots([key]))[0].members

    group = serving(key)
    return group.replica.shown() if group else await _awaited(read, UNKNOWN)


async def amember(key: str, user: str) -> Member | None:
    group = serving(key)
    return (
        group.replica.member(user)
        if group
        else await _awaited(lambda: get_backend().amember(key, user), None)
    )


def _asked(read: Callable[[], T], unknown: T) -> T:
    if in_loop():
        raise PresenceError(HOLDS_UP)
    if time.monotonic() < _blind_until:
        return unknown
    try:
        found = read()
    except PresenceUnavailable as error:
        return _look_away(error, unknown)
    read_worked(get_backend())
    return found


async def _awaited(read: Callable[[], Awaitable[T]], unknown: T) -> T:
    if time.monotonic() < _blind_until:
        return unknown
    try:
        found = await read()
    except PresenceUnavailable as error:
        return _look_away(error, unknown)
    read_worked(get_backend())
    return found


@on_change
def _look_again() -> None:
    global _blind_until
    _blind_until = 0.0


def _look_away(error: PresenceUnavailable, unknown: T) -> T:
    global _blind_until
    _blind_until = time.monotonic() + PAUSE
    read_failed(get_backend(), error)
    return unknown
