"""Presence for whoever has no page open: jobs, plain views, management commands, shells.

Every function asks the store, or the channel layer, and raises ``PresenceUnavailable`` when that does not answer. The
blocking ones raise ``PresenceError`` inside a running event loop; there, await the twin whose name begins with an ``a``.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping
from hashlib import blake2b
from math import inf
from typing import Any
from uuid import uuid4

from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext

from . import bus
from .backends.base import Backend
from .backends.registry import get_backend
from .conf import get_settings
from .errors import PresenceError, PresenceUnavailable
from .keys import checked_key
from .state.records import Change, Join, encode_meta, records
from .state.store import JOB
from .tracker import reads

__all__ = [
    "abroadcast",
    "acount",
    "aheartbeat",
    "ais_present",
    "ajoin",
    "aleave",
    "alist",
    "broadcast",
    "count",
    "heartbeat",
    "is_present",
    "join",
    "leave",
    "list",
]

REFS_PER_CLAIM = 500
LONG_DEAD = (
    10  # lease ttls after which a process is buried by whoever comes along, if no other process did it
)


def list(key: str) -> builtins.list[dict[str, Any]]:
    """The records of all who are present in *key*, oldest first."""
    return records(_swept(alist).snapshots([key])[0].members, gettext("Guest"))


async def alist(key: str) -> builtins.list[dict[str, Any]]:
    return records((await (await _aswept()).asnapshots([key]))[0].members, gettext("Guest"))


def count(key: str) -> int:
    """How many users are present in *key*, in constant time."""
    return _swept(acount).count(key)


async def acount(key: str) -> int:
    return await (await _aswept()).acount(key)


def is_present(key: str, user_id: object) -> bool:
    """Whether the user *user_id*, taken as text, is present in *key*."""
    return _swept(ais_present).member(key, str(user_id)) is not None


async def ais_present(key: str, user_id: object) -> bool:
    return await (await _aswept()).amember(key, str(user_id)) is not None


def join(key: str, user_id: object, meta: Mapping[str, Any] | None = None, ttl: float = 60) -> None:
    """Be present in *key* as *user_id*, taken as text, until *ttl* seconds have gone by without a heartbeat.

    Joining again takes the new meta and ttl. Raises ``PresenceKeyError`` for a key that is not 1 to 255 characters
    long, and ``ValueError`` for a meta that is not JSON or above 4 KB, no user id, or a ttl that is not above 0.
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
    return _swept(aheartbeat).beat(key, _ref(key, user_id))


async def aheartbeat(key: str, user_id: object) -> bool:
    return await (await _aswept()).abeat(key, _ref(key, user_id))


def leave(key: str, user_id: object) -> None:
    """Be no longer present as what :func:`join` joined."""
    backend = _swept(aleave)
    _publish(backend, backend.release(key, _ref(key, user_id), uuid4().hex))


async def aleave(key: str, user_id: object) -> None:
    backend = await _aswept()
    await _apublish(backend, await backend.arelease(key, _ref(key, user_id), uuid4().hex))


def broadcast(key: str, event: str, payload: Any = None) -> None:
    """Send *event* with *payload* (JSON) to every page of the group *key*: ``broadcast_to_presence`` for who has no page.

    Raises ``PresenceKeyError``, and ``TypeError`` or ``ValueError`` for what is not JSON.
    """
    _blocking(abroadcast)
    async_to_sync(abroadcast)(key, event, payload)


async def abroadcast(key: str, event: str, payload: Any = None) -> None:
    checked_key(key, "presence.broadcast()")
    items = [["event", event, json.loads(json.dumps(payload, allow_nan=False))]]
    try:
        await bus.send(get_backend(), key, items)
    except ImproperlyConfigured:
        raise
    except Exception as error:
        raise PresenceUnavailable(f"The channel layer: {error!r}") from error


def _lease() -> str:
    return JOB + uuid4().hex


def _ref(key: str, user_id: object) -> str:
    """The same from every process, and not to be had by a connection."""
    return "job-" + blake2b(f"{len(key)}:{key}{user_id}".encode(), digest_size=16).hexdigest()


def _join(key: str, user_id: object, meta: Mapping[str, Any], ttl: float) -> Join:
    if user_id is None or user_id == "":
        raise ValueError(f"A user id is needed to be present, not {user_id!r}.")
    if not 0 < ttl < inf:
        raise ValueError(f"A ttl is a number of seconds above 0, not {ttl!r}.")
    checked_key(key, "presence.join()")
    return Join(1, key, _ref(key, user_id), str(user_id), encode_meta(meta), uuid4().hex, uuid4().hex)


def _publish(backend: Backend, change: Change | None) -> None:
    if change:
        bus.publish(backend, change.key, [["change", *change.pack()]])


async def _apublish(backend: Backend, change: Change | None) -> None:
    if change:
        await bus.apublish(backend, change.key, [["change", *change.pack()]])


def _blocking(twin: Any) -> None:
    if reads.in_loop():
        raise PresenceError(f"This would hold up the event loop: await presence.{twin.__name__}() instead.")


def _swept(twin: Any) -> Backend:
    """The backend, without what has expired: open pages see to that, but there may be none."""
    _blocking(twin)
    backend = get_backend()
    while work := backend.claim(None, REFS_PER_CLAIM, LONG_DEAD * get_settings().lease_ttl):
        for lease, key, refs in work:
            _publish(backend, backend.reap(lease, key, refs, uuid4().hex))
    return backend


async def _aswept() -> Backend:
    backend = get_backend()
    while work := await backend.aclaim(None, REFS_PER_CLAIM, LONG_DEAD * get_settings().lease_ttl):
        for lease, key, refs in work:
            await _apublish(backend, await backend.areap(lease, key, refs, uuid4().hex))
    return backend
