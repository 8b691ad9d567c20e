"""Presence without a page, and broadcasts to pages from outside."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from math import inf
from typing import Any
from uuid import uuid4

from django.core.exceptions import ImproperlyConfigured

from .. import bus
from ..errors import PresenceUnavailable
from ..identity import encode_given
from ..keys import checked_key, checked_user_id
from ..state.events import Event
from ..state.records import Join
from ..state.store import JOB
from .store import apublish, aswept_backend, checked_backend, publish, refuse_in_loop, swept_backend

__all__ = [
    "abroadcast",
    "aheartbeat",
    "ajoin",
    "aleave",
    "broadcast",
    "heartbeat",
    "join",
    "leave",
]


def join(key: str, user_id: object, meta: Mapping[str, Any] | None = None, ttl: float = 60) -> None:
    """Be present in *key* as *user_id* until *ttl* seconds have gone by without a heartbeat.

    Joining again replaces the meta and the ttl. Raises ``ValueError`` for a meta that is not JSON, above 4 KB or 32 levels, a
    user without an id, or a ttl that is not above 0.
    """
    op = _join(key, user_id, meta or {}, ttl)
    backend, lease = swept_backend(ajoin), _lease()
    publish(backend, backend.open_and_write(lease, ttl, [op])[0].change)


async def ajoin(key: str, user_id: object, meta: Mapping[str, Any] | None = None, ttl: float = 60) -> None:
    op = _join(key, user_id, meta or {}, ttl)
    backend, lease = await aswept_backend(), _lease()
    await apublish(backend, (await backend.aopen_and_write(lease, ttl, [op]))[0].change)


def heartbeat(key: str, user_id: object) -> bool:
    """Stay present for another ttl, from any process. Return False if the presence has expired: join again."""
    ref = _ref(key, user_id, "presence.heartbeat()")
    return swept_backend(aheartbeat).beat(key, ref)


async def aheartbeat(key: str, user_id: object) -> bool:
    ref = _ref(key, user_id, "presence.heartbeat()")
    return await (await aswept_backend()).abeat(key, ref)


def leave(key: str, user_id: object) -> None:
    """Undo :func:`join`."""
    ref = _ref(key, user_id, "presence.leave()")
    backend = swept_backend(aleave)
    publish(backend, backend.release(key, ref, uuid4().hex))


async def aleave(key: str, user_id: object) -> None:
    ref = _ref(key, user_id, "presence.leave()")
    backend = await aswept_backend()
    await apublish(backend, await backend.arelease(key, ref, uuid4().hex))


def broadcast(key: str, event: str, payload: Any = None) -> None:
    """Send *event* with *payload* (JSON) to every page of the group *key*, as a view's ``broadcast_to_presence`` does.

    Raises ``TypeError`` or ``ValueError`` for a payload that is not JSON, or has more than 32 levels.
    """
    refuse_in_loop(abroadcast)
    bus.run(abroadcast, key, event, payload)


async def abroadcast(key: str, event: str, payload: Any = None) -> None:
    checked_key(key, "presence.broadcast()")
    item = Event.of(event, payload).item
    try:
        await bus.send(checked_backend(), key, [item])
    except ImproperlyConfigured:
        raise
    except Exception as error:
        raise PresenceUnavailable(f"The channel layer: {error!r}") from error


def _lease() -> str:
    return JOB + uuid4().hex


def _ref(key: str, user_id: object, owner: str) -> str:
    """Return the ref of a job: the same in every process, and never that of a connection."""
    text = f"{len(checked_key(key, owner))}:{key}{checked_user_id(user_id, owner)}"
    return "job-" + blake2b(text.encode(), digest_size=16).hexdigest()


def _join(key: str, user_id: object, meta: Mapping[str, Any], ttl: float) -> Join:
    ref = _ref(key, user_id, "presence.join()")
    if not 0 < ttl < inf:
        raise ValueError(f"A ttl is a number of seconds above 0, not {ttl!r}.")
    user = checked_user_id(user_id, "presence.join()")
    return Join(1, key, ref, user, encode_given(meta), uuid4().hex, uuid4().hex)
