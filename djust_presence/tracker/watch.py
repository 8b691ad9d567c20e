"""What is looked after for all sessions of a process at once: signs of life, and whether they may still be there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from ..conf import Settings
from .session import Session, by_host

SILENT = 4000  # the close code of a connection that gave no sign of life


class Watch:
    """Pings sessions, closes silent ones, and lets their hosts check them; *spawn* makes the tasks for that."""

    def __init__(
        self, settings: Settings, now: float, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        self._settings = settings
        self._spawn = spawn
        self._checked_at = now
        self._checking: asyncio.Task[None] | None = None

    @property
    def tick(self) -> float:
        """How often, in seconds, there is to be looked."""
        settings = self._settings
        return min(3.0, settings.heartbeat_interval / 10, settings.reauth_interval / 10 or 3.0)

    def look(self, sessions: Collection[Session], now: float) -> None:
        """Do for *sessions* what is due."""
        self._ping(sessions, now)
        self._check(sessions, now)

    def _ping(self, sessions: Collection[Session], now: float) -> None:
        pinged = []
        for session in tuple(sessions):
            if now - session.heard_at >= self._settings.timeout:
                session.host.close(session, SILENT, "timeout")
            elif now - session.pinged_at >= self._settings.heartbeat_interval:
                session.pinged_at = now
                pinged.append(session)
        for host, some in by_host(pinged).items():
            host.ping(some)

    def _check(self, sessions: Collection[Session], now: float) -> None:
        """Every REAUTH_INTERVAL, one check after the other."""
        busy = self._checking and not self._checking.done()
        if (
            self._settings.reauth_interval
            and not busy
            and now - self._checked_at >= self._settings.reauth_interval
        ):
            self._checked_at = now
            self._checking = self._spawn(_check_all(tuple(sessions)))


async def _check_all(sessions: Collection[Session]) -> None:
    for host, some in by_host(sessions).items():
        await host.check(some)
