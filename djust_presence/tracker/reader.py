"""Gets the snapshots that a process's replicas ask for, many in one call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..errors import PresenceUnavailable
from .chance import backoff
from .group import Group
from .outage import read_failed, read_worked

if TYPE_CHECKING:
    from .process import Tracker

GROUPS_PER_FETCH = 100
PAUSE = 5.0  # seconds after a fetch has failed in which no mount waits for the store


class Reader:
    """Reads for its tracker; apart from the writer, so that neither waits for the other."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._asking: dict[Group, None] = {}
        self._wake = asyncio.Event()
        self._failed_at = float("-inf")

    @property
    def failed_lately(self) -> bool:
        """True if the last fetch has failed, less than `PAUSE` seconds ago."""
        return self._tracker.now - self._failed_at < PAUSE

    def fetch(self, group: Group) -> None:
        self._asking[group] = None
        self._wake.set()

    async def run(self) -> None:
        failures = 0
        while True:
            await self._wake.wait()
            groups = self._next()
            try:
                snapshots = await self._tracker.backend.asnapshots([group.key for group in groups])
            except Exception as error:
                self._failed_at = self._tracker.now
                for group in groups:
                    group.replica.failed()
                    group.give_up()
                    self.fetch(group)
                if not isinstance(error, PresenceUnavailable):
                    raise
                failures += 1
                read_failed(self._tracker.backend, error)
                await asyncio.sleep(backoff(failures, self._tracker.settings.renew_interval / 2))
                continue
            failures = 0
            self._failed_at = float("-inf")
            read_worked(self._tracker.backend)
            for group, snapshot in zip(groups, snapshots, strict=True):
                group.receive(snapshot)

    def _next(self) -> list[Group]:
        groups = list(self._asking)[:GROUPS_PER_FETCH]
        for group in groups:
            del self._asking[group]
            group.replica.asked()
        if not self._asking:
            self._wake.clear()
        return groups
