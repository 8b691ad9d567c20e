"""Heartbeats, timeouts and the periodic access check of a process's connections."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from ..codes import CloseCode
from ..conf import Settings
from .clock import Clock
from .connection import Connection, by_host
from .session import Session

__all__ = ["Upkeep"]


class Upkeep:
    """Pings connections, closes silent ones, and lets their hosts check access, one check after the other."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._checked_at = clock.now
        self._checking: asyncio.Task[None] | None = None

    @property
    def interval(self) -> float:
        """Seconds between two calls of :meth:`run`."""
        settings = self._settings
        return min(3.0, settings.heartbeat_interval / 10, settings.reauth_interval / 10 or 3.0)

    def run(self, connections: Collection[Connection[Session]]) -> None:
        """Do the work that is due for *connections*."""
        self._ping(connections)
        self._check(connections)

    def _ping(self, connections: Collection[Connection[Session]]) -> None:
        now, pinged = self._clock.now, []
        for connection in tuple(connections):
            if now - connection.heard_at >= self._settings.timeout:
                connection.host.close(connection, CloseCode.RETRY, "timeout")
            elif now - connection.pinged_at >= self._settings.heartbeat_interval:
                connection.pinged()
                pinged.append(connection)
        for host, some in by_host(pinged).items():
            host.ping(some)

    def _check(self, connections: Collection[Connection[Session]]) -> None:
        now, interval = self._clock.now, self._settings.reauth_interval
        busy = self._checking and not self._checking.done()
        if interval and not busy and now - self._checked_at >= interval:
            self._checked_at = now
            self._checking = self._clock.spawn(_check_all(tuple(connections)))


async def _check_all(connections: Collection[Connection[Session]]) -> None:
    for host, some in by_host(connections).items():
        await host.check(some)
