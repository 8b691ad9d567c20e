"""The store for code without a page: expired presences are removed first, and every Change is published."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from math import inf
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from .. import bus
from ..backends.base import Backend
from ..backends.registry import get_backend
from ..conf import get_settings, name_of
from ..forks import after_fork
from ..greenlets import holds_up
from ..state.records import Change
from ..tracker import asignal, in_loop, serves_pages, signal

__all__ = [
    "Throttle",
    "apublish",
    "aswept_backend",
    "checked_backend",
    "publish",
    "reap",
    "refuse_in_loop",
    "swept_backend",
]

logger = logging.getLogger("djust_presence")

REFS_PER_CLAIM = 500
TTLS_UNTIL_SWEPT = (
    # Times LEASE_TTL after which a dead process's presences are removed here, if no other process has done it.
    10
)
SWEEP_INTERVAL = 1.0  # seconds between two sweeps of this process

_warned = False


def refuse_in_loop(twin: Callable[..., Any]) -> None:
    """Raise ``PresenceError``, which names the async *twin*, inside a running event loop."""
    if in_loop():
        raise holds_up(f"This would hold up the event loop: await presence.{twin.__name__}() instead.")


def checked_backend() -> Backend:
    """Return this process's backend. Warns once if it is for this process alone and no page is served here."""
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


def swept_backend(twin: Callable[..., Any]) -> Backend:
    """Return the backend without expired presences: open pages remove them, but none may be open.

    Raises ``PresenceError``, which names the async *twin*, inside a running event loop.
    """
    refuse_in_loop(twin)
    backend = checked_backend()
    if _sweeps.take(backend, SWEEP_INTERVAL):
        reap(backend, None, TTLS_UNTIL_SWEPT * get_settings().lease_ttl)
    return backend


def reap(backend: Backend, own: str | None, lag: float = 0.0) -> None:
    """Remove the refs of expired leases, as the lease *own*, if that has not expired itself.

    For *lag*, and without *own*, see :meth:`Backend.claim`.
    """
    while work := backend.claim(own, REFS_PER_CLAIM, lag):
        for one in work:
            publish(backend, backend.reap(*one, uuid4().hex))


async def aswept_backend() -> Backend:
    """Return the same for async code."""
    backend = checked_backend()
    if _sweeps.take(backend, SWEEP_INTERVAL):
        while work := await backend.aclaim(None, REFS_PER_CLAIM, TTLS_UNTIL_SWEPT * get_settings().lease_ttl):
            for lease, key, refs in work:
                await apublish(backend, await backend.areap(lease, key, refs, uuid4().hex))
    return backend


def publish(backend: Backend, change: Change | None) -> None:
    """Tell the processes that serve the group, and the signals of this one, of *change*."""
    if change:
        bus.publish(backend, change.key, [["change", *change.pack()]])
        signal([change])


async def apublish(backend: Backend, change: Change | None) -> None:
    """Do the same for async code."""
    if change:
        await bus.apublish(backend, change.key, [["change", *change.pack()]])
        await asignal([change])


class Throttle:
    """Throttle for periodic work on a backend, which one thread of this process does at a time."""

    def __init__(self) -> None:
        self._taken_at: WeakKeyDictionary[Backend, float] = WeakKeyDictionary()
        self._lock = threading.Lock()
        after_fork(self._renew_lock)

    def take(self, backend: Backend, interval: float) -> bool:
        """Return True for one caller in each *interval* (seconds)."""
        with self._lock:
            now = time.monotonic()
            if now < self._taken_at.get(backend, -inf) + interval:
                return False
            self._taken_at[backend] = now
            return True

    def _renew_lock(self) -> None:
        """Replace the lock in a forked child, where no thread would release it."""
        self._lock = threading.Lock()


_sweeps = Throttle()
