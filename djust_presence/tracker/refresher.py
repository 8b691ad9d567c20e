"""Refreshes of stale sessions by their hosts, twenty in a call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from .clock import Clock
from .connection import Host, by_host
from .session import ServedGroup, Session

__all__ = ["SESSIONS_PER_HOP", "Refresher", "chunks"]

T = TypeVar("T")

SESSIONS_PER_HOP = 20


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Split *items* into sequences of at most *size*."""
    return (items[start : start + size] for start in range(0, len(items), size))


class Refresher:
    """Collects the sessions of all groups that become stale in one turn of the loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[Session, None] = {}

    def refresh(self, sessions: Iterable[Session]) -> None:
        """Let their hosts refresh *sessions*, together with others that are due."""
        if not self._due:
            self._clock.later(0, self._hand_out)
        self._due.update(dict.fromkeys(sessions))

    def _hand_out(self) -> None:
        due = [session for session in self._due if session.open and session.stale and not session.refreshing]
        self._due.clear()
        if not due:
            return
        groups = Counter(session.group for session in due if session.group)
        shares = {group: number / len(due) for group, number in groups.items()}
        for host, sessions in by_host(due).items():
            for some in chunks(sessions, SESSIONS_PER_HOP):
                for session in some:
                    session.begin_refresh()
                self._clock.spawn(self._refresh(host, some, shares))

    async def _refresh(
        self, host: Host[Session], sessions: Sequence[Session], shares: Mapping[ServedGroup, float]
    ) -> None:
        """Let *host* refresh *sessions*; their groups have these shares of all that are due in this turn."""
        began = self._clock.now
        try:
            if still_open := [session for session in sessions if session.open]:
                await host.refresh(still_open)
        finally:
            took = self._clock.now - began
            for group in {session.group for session in sessions}:
                if group and group in shares:
                    group.refreshed(began, shares[group] * took)
            for session in sessions:
                session.end_refresh()
