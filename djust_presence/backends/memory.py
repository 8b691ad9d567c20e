"""Presence in this process's memory, for development, tests, and sites of one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..state.order import Spot
from ..state.records import Change, Member, Op, Renewal, Reply, Snapshot, Work
from ..state.store import Store
from .base import Backend


class MemoryBackend(Backend):
    """A ``Store`` behind a lock. No verb waits for anything, so the ``a``-twins need no thread."""

    shared: ClassVar[bool] = False

    def __init__(self, location: str = "", options: Mapping[str, Any] = {}) -> None:
        super().__init__(location, options)
        if options:
            raise TypeError(
                f"the memory backend takes no options, but was given {', '.join(map(repr, options))}"
            )
        self._store = Store()
        self._lock = threading.Lock()
        self._began = time.time() - time.monotonic()

    def _now(self) -> float:
        """Return epoch seconds, unaffected by changes of the wall clock."""
        return self._began + time.monotonic()

    def open(self, lease: str, ttl: float, unheard: float = 0, pause: float = 0) -> str:
        with self._lock:
            return self._store.open(lease, ttl, self._now(), unheard, pause)

    def renew(self, lease: str, seq: int, keys: Sequence[str], ahead: int = 0) -> Renewal:
        with self._lock:
            return self._store.renew(lease, seq, keys, self._now(), ahead)

    def drain(self, lease: str, grace: float) -> None:
        with self._lock:
            self._store.drain(lease, grace, self._now())

    def claim(self, own: str | None, limit: int, lag: float) -> list[Work] | None:
        with self._lock:
            return self._store.claim(own, limit, lag, self._now())

    def reap(self, lease: str, key: str, refs: Sequence[str], tag: str) -> Change | None:
        with self._lock:
            return self._store.reap(lease, key, refs, tag)

    def write(self, lease: str, ops: Sequence[Op]) -> list[Reply]:
        with self._lock:
            return self._store.write(lease, ops, self._now())

    def beat(self, key: str, ref: str) -> bool:
        with self._lock:
            return self._store.beat(key, ref, self._now())

    def release(self, key: str, ref: str, tag: str) -> Change | None:
        with self._lock:
            return self._store.release(key, ref, tag)

    def snapshots(self, keys: Sequence[str]) -> list[Snapshot]:
        with self._lock:
            return [self._store.snapshot(key) for key in keys]

    def page(self, key: str, limit: int | None = None, after: Spot | None = None) -> dict[str, Member]:
        with self._lock:
            return self._store.page(key, limit, after)

    def counts(self, keys: Sequence[str]) -> list[int]:
        with self._lock:
            return [self._store.count(key) for key in keys]

    def members(self, key: str, users: Sequence[str]) -> list[Member | None]:
        with self._lock:
            return [self._store.member(key, user) for user in users]

    async def aopen(self, lease: str, ttl: float, unheard: float = 0, pause: float = 0) -> str:
        return self.open(lease, ttl, unheard, pause)

    async def arenew(self, lease: str, seq: int, keys: Sequence[str], ahead: int = 0) -> Renewal:
        return self.renew(lease, seq, keys, ahead)

    async def adrain(self, lease: str, grace: float) -> None:
        self.drain(lease, grace)

    async def aclaim(self, own: str | None, limit: int, lag: float) -> list[Work] | None:
        return self.claim(own, limit, lag)

    async def areap(self, lease: str, key: str, refs: Sequence[str], tag: str) -> Change | None:
        return self.reap(lease, key, refs, tag)

    async def awrite(self, lease: str, ops: Sequence[Op]) -> list[Reply]:
        return self.write(lease, ops)

    async def abeat(self, key: str, ref: str) -> bool:
        return self.beat(key, ref)

    async def arelease(self, key: str, ref: str, tag: str) -> Change | None:
        return self.release(key, ref, tag)

    async def asnapshots(self, keys: Sequence[str]) -> list[Snapshot]:
        return self.snapshots(keys)

    async def apage(self, key: str, limit: int | None = None, after: Spot | None = None) -> dict[str, Member]:
        return self.page(key, limit, after)

    async def acounts(self, keys: Sequence[str]) -> list[int]:
        return self.counts(keys)

    async def amembers(self, key: str, users: Sequence[str]) -> list[Member | None]:
        return self.members(key, users)
