"""Fetches of the snapshots that a process's replicas ask for, many in one call."""

from __future__ import annotations

import asyncio

from ..backends.base import Backend
from ..errors import PresenceUnavailable
from .chance import backoff
from .clock import Clock
from .group import Group
from .store_outages import read_failed, read_worked

__all__ = ["Reader"]

GROUPS_PER_FETCH = 100
PAUSE = 5.0  # seconds after a failed fetch for which mounts do not wait for the store


class Reader:
    """Fetches snapshots from *backend*, independently of the writer, so that neither waits for the other.

    *longest* is the longest pause, in seconds, between two tries.
    """

    def __init__(self, backend: Backend, clock: Clock, longest: float) -> None:
        self._backend = backend
        self._clock = clock
        self._longest = longest
        self._asking: dict[Group, None] = {}
        self._wake = asyncio.Event()
        self._failed_at = float("-inf")

    @property
    def failed_lately(self) -> bool:
        """True if the last fetch has failed, less than `PAUSE` seconds ago."""
        return self._clock.now - self._failed_at < PAUSE

    def fetch(self, group: Group) -> None:
        """Fetch the snapshot that the replica of *group* asks for."""
        self._asking[group] = None
        self._wake.set()

    async def run(self) -> None:
        failures = 0
        while True:
            await self._wake.wait()
            groups = self._next()
            try:
                snapshots = await self._backend.asnapshots([group.key for group in groups])
            except Exception as error:
                self._failed(groups)
                if not isinstance(error, PresenceUnavailable):
                    raise
                failures += 1
                read_failed(self._backend, error)
                await asyncio.sleep(backoff(failures, self._longest))
                continue
            failures = 0
            self._failed_at = float("-inf")
            read_worked(self._backend)
            for group, snapshot in zip(groups, snapshots, strict=True):
                group.receive(snapshot)

    def _failed(self, groups: list[Group]) -> None:
        self._failed_at = self._clock.now
        for group in groups:
            group.replica.failed()
            group.give_up()
            self.fetch(group)

    def _next(self) -> list[Group]:
        groups = list(self._asking)[:GROUPS_PER_FETCH]
        for group in groups:
            del self._asking[group]
            group.replica.asked()
        if not self._asking:
            self._wake.clear()
        return groups
