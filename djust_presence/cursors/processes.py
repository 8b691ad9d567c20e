"""The other processes that serve a group: which of them look at cursors, and the messages to them."""

from __future__ import annotations

from collections.abc import Sequence

from ..tracker import Group
from .messages import PackedMoves

__all__ = ["OtherProcesses"]

MISSED = 3  # announcements in a row, after which a process no longer counts as looking


class OtherProcesses:
    """Keeps the announcements of processes that look, and sends messages. On the tracker's loop.

    A process looks while it has pages that draw cursors or views that read them.
    """

    def __init__(self, group: Group) -> None:
        self._bus = group.bus
        self._key = group.key
        self._announced_for = MISSED * group.settings.renew_interval
        self._looking: dict[str, float] = {}  # process -> until when its last announcement counts

    def __len__(self) -> int:
        return len(self._looking)

    @property
    def busy(self) -> bool:
        """True if the last message to them has not been sent yet."""
        return self._bus.waits(self._key)

    def look(self, now: float) -> bool:
        """Return whether any of them looks."""
        return any(until > now for until in self._looking.values())

    def announced(self, process: str, looks: bool, now: float) -> bool:
        """Note the announcement of *process*; True if it has begun to look."""
        looked = self._looking.pop(process, 0.0) > now
        if looks:
            self._looking[process] = now + self._announced_for
        return looks and not looked

    def forget_silent(self, now: float) -> None:
        """Forget processes that have not announced anything for too long."""
        self._looking = {process: until for process, until in self._looking.items() if until > now}

    def announce(self, looks: bool, *, ask: bool = False) -> None:
        """Tell them whether this process *looks*; with *ask*, those that look say so too."""
        self._bus.publish(self._key, [["looking", self._bus.id, looks, ask]])

    def send(self, moves: PackedMoves, gone: Sequence[str]) -> None:
        """Send them moves of cursors of this process, and the refs of those that are gone."""
        self._bus.publish(self._key, [["cursors", moves, gone]])
