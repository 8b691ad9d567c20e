"""Presence for whoever has no page open: jobs, plain views, management commands, shells.

Every function asks the store, or the channel layer, and raises ``PresenceUnavailable`` when that does not answer. The
blocking ones raise ``PresenceError`` inside a running event loop; there, await the twin whose name begins with an ``a``.

All raise ``PresenceKeyError`` for a key that is not a text of 1 to 255 characters. A user is a user object, which counts
as its pk, or an id that is taken as text; ``TypeError`` for an instance of any other model. To the questions, whoever has
no id (not logged in, not saved, None) is not present; ``join``, ``heartbeat`` and ``leave`` raise ``ValueError`` for them.

Expired jobs are removed once a second at most by each process, so one can be listed for a second longer.
"""

from __future__ import annotations

import builtins
import json
import logging
import threading
import time
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from math import inf
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import uuid4
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext

from . import bus
from .backends.base import Backend
from .backends.registry import get_backend
from .conf import get_settings, name_of
from .errors import PresenceError, PresenceUnavailable
from .forks import after_fork
from .keys import checked_key, checked_user_id, user_id_of
from .state.records import Change, Join, Member, encode_meta, records
from .state.store import JOB
from .tracker import asignal, in_loop, serves_pages, signal

__all__ = [
    "abroadcast",
    "acount",
    "acount_many",
    "aheartbeat",
    "ais_present",
    "ajoin",
    "aleave",
    "alist",
    "amembers",
    "awhich",
    "broadcast",
    "count",
    "count_many",
    "heartbeat",
    "is_present",
    "join",
    "leave",
    "list",
    "members",
    "which",
]

logger = logging.getLogger("djust_presence")

U = TypeVar("U")
Record = dict[str, Any]

REFS_PER_CLAIM = 500
LONG_DEAD = (
    10  # lease ttls after which a process is buried by whoever comes along, if no other process did it
)
SWEEP_INTERVAL = 1.0  # seconds from one search for what has expired to the next, in this process


def list(key: str, limit: int | None = None, after: Mapping[str, Any] | None = None) -> builtins.list[Record]:
    """The records of all who are present in *key*, oldest first.

    With *limit*, so many of them at most; with *after*, a record from before, those that come after it in this order,
    whether or not its user is still present. Raises ``TypeError`` or ``ValueError`` for another limit or record.
    """
    part = Slice.of(key, limit, after)
    return part.records(_swept(alist).snapshots([part.key])[0].members)


async def alist(
    key: str, limit: int | None = None, after: Mapping[str, Any] | None = None
) -> builtins.list[Record]:
    part = Slice.of(key, limit, after)
    return part.records((await (await _aswept()).asnapshots([part.key]))[0].members)


def members(key: str, users: Iterable[object]) -> builtins.list[Record]:
    """The records of those of *users* who are present in *key*, oldest first, in one round trip."""
    asked = Asked.of(key, users, "presence.members()")
    return asked.records(_swept(amembers).members(asked.key, asked.ids))


async def amembers(key: str, users: Iterable[object]) -> builtins.list[Record]:
    asked = Asked.of(key, users, "presence.members()")
    return asked.records(await (await _aswept()).amembers(asked.key, asked.ids))


def which(key: str, users: Iterable[U]) -> builtins.list[U]:
    """Those of *users* who are present in *key*, in one round trip: the very objects, in the order given."""
    asked = Asked.of(key, users, "presence.which()")
    return asked.present(_swept(awhich).members(asked.key, asked.ids))


async def awhich(key: str, users: Iterable[U]) -> builtins.list[U]:
    asked = Asked.of(key, users, "presence.which()")
    return asked.present(await (await _aswept()).amembers(asked.key, asked.ids))


def count(key: str) -> int:
    """How many users are present in *key*, in constant time."""
    checked_key(key, "presence.count()")
    return _swept(acount).count(key)


async def acount(key: str) -> int:
    checked_key(key, "presence.count()")
    return await (await _aswept()).acount(key)


def count_many(keys: Iterable[str]) -> dict[str, int]:
    """How many users are present in each of *keys*, in one round trip."""
    asked = _keys(keys)
    return dict(zip(asked, _swept(acount_many).counts(asked), strict=True))


async def acount_many(keys: Iterable[str]) -> dict[str, int]:
    asked = _keys(keys)
    return dict(zip(asked, await (await _aswept()).acounts(asked), strict=True))


def is_present(key: str, user_id: object) -> bool:
    """Whether the user *user_id* is present in *key*."""
    checked_key(key, "presence.is_present()")
    user, backend = user_id_of(user_id), _swept(ais_present)
    return user is not None and backend.member(key, user) is not None


async def ais_present(key: str, user_id: object) -> bool:
    checked_key(key, "presence.is_present()")
    user, backend = user_id_of(user_id), await _aswept()
    return user is not None and await backend.amember(key, user) is not None


def join(key: str, user_id: object, meta: Mapping[str, Any] | None = None, ttl: float = 60) -> None:
    """Be present in *key* as *user_id* until *ttl* seconds have gone by without a heartbeat.

    Joining again takes the new meta and ttl. Raises ``ValueError`` for a meta that is not JSON or above 4 KB, no user
    id, or a ttl that is not above 0.
    """
    op = _join(key, user_id, meta or {}, ttl)
    backend, lease = _swept(ajoin), _lease()
    backend.open(lease, ttl)
    _publish(backend, backend.write(lease, [op])[0].change)


async def ajoin(key: str, user_id: object, meta: Mapping[str, Any] | None = None, ttl: float = 60) -> None:
    op = _join(key, user_id, meta or {}, ttl)
    backend, lease = await _aswept(), _lease()
    await backend.aopen(lease, ttl)
    await _apublish(backend, (await backend.awrite(lease, [op]))[0].change)


def heartbeat(key: str, user_id: object) -> bool:
    """Stay present for another ttl, from whichever process. False: it was too late, join again."""
    ref = _ref(key, user_id, "presence.heartbeat()")
    return _swept(aheartbeat).beat(key, ref)


async def aheartbeat(key: str, user_id: object) -> bool:
    ref = _ref(key, user_id, "presence.heartbeat()")
    return await (await _aswept()).abeat(key, ref)


def leave(key: str, user_id: object) -> None:
    """Be no longer present as what :func:`join` joined."""
    ref = _ref(key, user_id, "presence.leave()")
    backend = _swept(aleave)
    _publish(backend, backend.release(key, ref, uuid4().hex))


async def aleave(key: str, user_id: object) -> None:
    ref = _ref(key, user_id, "presence.leave()")
    backend = await _aswept()
    await _apublish(backend, await backend.arelease(key, ref, uuid4().hex))


def broadcast(key: str, event: str, payload: Any = None) -> None:
    """Send *event* with *payload* (JSON) to every page of the group *key*: ``broadcast_to_presence`` for who has no page.

    Raises ``TypeError`` or ``ValueError`` for what is not JSON.
    """
    _blocking(abroadcast)
    async_to_sync(abroadcast)(key, event, payload)


async def abroadcast(key: str, event: str, payload: Any = None) -> None:
    checked_key(key, "presence.broadcast()")
    items = [["event", event, json.loads(json.dumps(payload, allow_nan=False))]]
    try:
        await bus.send(_backend(), key, items)
    except ImproperlyConfigured:
        raise
    except Exception as error:
        raise PresenceUnavailable(f"The channel layer: {error!r}") from error


def _lease() -> str:
    return JOB + uuid4().hex


def _ref(key: str, user_id: object, owner: str) -> str:
    """The same from every process, and not to be had by a connection."""
    text = f"{len(checked_key(key, owner))}:{key}{checked_user_id(user_id, owner)}"
    return "job-" + blake2b(text.encode(), digest_size=16).hexdigest()


def _join(key: str, user_id: object, meta: Mapping[str, Any], ttl: float) -> Join:
    ref = _ref(key, user_id, "presence.join()")
    if not 0 < ttl < inf:
        raise ValueError(f"A ttl is a number of seconds above 0, not {ttl!r}.")
    user = checked_user_id(user_id, "presence.join()")
    return Join(1, key, ref, user, encode_meta(meta), uuid4().hex, uuid4().hex)


def _several(given: Iterable[U], what: str) -> builtins.list[U]:
    if isinstance(given, str):
        raise TypeError(f"Pass the {what} as a list or another iterable, not as one text: {given!r:.300}.")
    return [*given]


def _keys(keys: Iterable[str]) -> builtins.list[str]:
    return [*dict.fromkeys(checked_key(key, "presence.count_many()") for key in _several(keys, "keys"))]


class Slice(NamedTuple):
    """A part of a group's records, in their order."""

    key: str
    limit: int | None
    after: tuple[float, str] | None

    @classmethod
    def of(cls, key: str, limit: Any, after: Any) -> Slice:
        checked_key(key, "presence.list()")
        if limit is not None:
            fault = f"limit is a number of records, 0 or above, not {limit!r:.300}."
            if isinstance(limit, bool) or not isinstance(limit, int):
                raise TypeError(fault)
            if limit < 0:
                raise ValueError(fault)
        return cls(key, limit, None if after is None else _spot(after))

    def records(self, members: Mapping[str, Member]) -> builtins.list[Record]:
        ordered = sorted((member.joined_at, user) for user, member in members.items())
        start = 0 if self.after is None else bisect_right(ordered, self.after)
        stop = None if self.limit is None else start + self.limit
        return records({user: members[user] for _, user in ordered[start:stop]}, gettext("Guest"))


def _spot(after: Any) -> tuple[float, str]:
    """Where the record *after* stands in the order."""
    fault = (
        "after is a record from before, a dictionary with its 'joined_at' (a number) and 'id' (a text), not "
        f"{after!r:.300}."
    )
    if not isinstance(after, Mapping):
        raise TypeError(fault)
    if not {"joined_at", "id"} <= after.keys():
        raise ValueError(fault)
    joined_at, user = after["joined_at"], after["id"]
    if isinstance(joined_at, bool) or not isinstance(joined_at, int | float) or not isinstance(user, str):
        raise TypeError(fault)
    if joined_at != joined_at:  # not a number, which is nowhere in an order
        raise ValueError(fault)
    return joined_at, user


class Asked(NamedTuple, Generic[U]):
    """Whom a question is about: the users as given, the id of each, and these once each for the store."""

    key: str
    users: builtins.list[U]
    each: builtins.list[str | None]
    ids: builtins.list[str]

    @classmethod
    def of(cls, key: str, users: Iterable[U], owner: str) -> Asked[U]:
        checked_key(key, owner)
        given = _several(users, "users")
        each = [user_id_of(user) for user in given]
        return cls(key, given, each, [*dict.fromkeys(user for user in each if user is not None)])

    def records(self, answer: Sequence[Member | None]) -> builtins.list[Record]:
        return records(self._found(answer), gettext("Guest"))

    def present(self, answer: Sequence[Member | None]) -> builtins.list[U]:
        found = self._found(answer)
        return [given for given, user in zip(self.users, self.each, strict=True) if user in found]

    def _found(self, answer: Sequence[Member | None]) -> dict[str, Member]:
        return {user: member for user, member in zip(self.ids, answer, strict=True) if member}


def _publish(backend: Backend, change: Change | None) -> None:
    if change:
        bus.publish(backend, change.key, [["change", *change.pack()]])
        signal([change])


async def _apublish(backend: Backend, change: Change | None) -> None:
    if change:
        await bus.apublish(backend, change.key, [["change", *change.pack()]])
        await asignal([change])


def _blocking(twin: Any) -> None:
    if in_loop():
        raise PresenceError(f"This would hold up the event loop: await presence.{twin.__name__}() instead.")


_warned = False


def _backend() -> Backend:
    """The backend of this process. Warns once if that shares nothing and no page is served here."""
    global _warned
    backend = get_backend()
    if not (backend.shared or _warned or serves_pages()):
        _warned = True
        logger.warning(
            "The presence backend %r was asked in a process that serves no live page: it finds only who joined in this "
            "process. Set %s to 'redis', or ask in the server's process.",
            get_settings().backend,
            name_of("BACKEND"),
        )
    return backend


def _swept(twin: Any) -> Backend:
    """The backend, without what has expired: open pages see to that, but there may be none."""
    _blocking(twin)
    backend = _backend()
    if _must_sweep(backend):
        while work := backend.claim(None, REFS_PER_CLAIM, LONG_DEAD * get_settings().lease_ttl):
            for lease, key, refs in work:
                _publish(backend, backend.reap(lease, key, refs, uuid4().hex))
    return backend


async def _aswept() -> Backend:
    backend = _backend()
    if _must_sweep(backend):
        while work := await backend.aclaim(None, REFS_PER_CLAIM, LONG_DEAD * get_settings().lease_ttl):
            for lease, key, refs in work:
                await _apublish(backend, await backend.areap(lease, key, refs, uuid4().hex))
    return backend


_swept_at: WeakKeyDictionary[Backend, float] = WeakKeyDictionary()
_lock = threading.Lock()


def _must_sweep(backend: Backend) -> bool:
    """Return True to one caller in each ``SWEEP_INTERVAL``."""
    with _lock:
        now = time.monotonic()
        if now < _swept_at.get(backend, -inf) + SWEEP_INTERVAL:
            return False
        _swept_at[backend] = now
        return True


def _renew_lock() -> None:
    """In a forked child: nobody is left to release it."""
    global _lock
    _lock = threading.Lock()


after_fork(_renew_lock)
