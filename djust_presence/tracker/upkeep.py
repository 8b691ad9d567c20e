"""Heartbeats, timeouts and the periodic access check of a process's sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from ..conf import Settings
from .clock import Clock
from .session import Session, by_host

__all__ = ["Upkeep"]

SILENT = 4000  # the close code of a connection that gave no sign of life


class Upkeep:
    """Pings sessions, closes silent ones, and lets their hosts check access, one check after the other."""

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

    def run(self, sessions: Collection[Session]) -> None:
        """Do what is due for *sessions*."""
        self._ping(sessions)
        self._check(sessions)

    def _ping(self, sessions: Collection[Session]) -> None:
        now, pinged = self._clock.now, []
        for session in tuple(sessions):
            if now - session.heard_at >= self._settings.timeout:
                session.host.close(session, SILENT, "timeout")
            elif now - session.pinged_at >= self._settings.heartbeat_interval:
                session.pinged()
                pinged.append(session)
        for host, some in by_host(pinged).items():
            host.ping(some)

    def _check(self, sessions: Collection[Session]) -> None:
        now, interval = self._clock.now, self._settings.reauth_interval
        busy = self._checking and not self._checking.done()
        if interval and not busy and now - self._checked_at >= interval:
            self._checked_at = now
            self._checking = self._clock.spawn(_check_all(tuple(sessions)))


async def _check_all(sessions: Collection[Session]) -> None:
    for host, some in by_host(sessions).items():
        await host.check(some)
