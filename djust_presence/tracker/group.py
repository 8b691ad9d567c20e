"""A group that this process serves: its replica, its sessions, and what they are to be told next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..state.records import NOWHERE, Change, Snapshot, Step
from ..state.replica import Replica
from .session import Event, Session, by_host

if TYPE_CHECKING:
    from .process import Tracker


class Companion(Protocol):
    """What else a group does for its sessions in this process, beside presence."""

    def add(self, session: Session) -> None:
        """A session of the group; again whenever its wishes may have changed."""

    def remove(self, session: Session) -> None: ...

    def moved(self, steps: Sequence[Step]) -> None:
        """Who is present has changed."""

    def hear(self, kind: str, *rest: Any) -> None:
        """A message of another process, of a kind that is not presence's. Unknown kinds are ignored.

        Raises ``ValueError`` or ``TypeError`` for what is malformed, which has no effect then.
        """

    def discard(self) -> None: ...


class Group:
    """The first change is passed on at once, later ones at most once in every refresh interval."""

    def __init__(self, tracker: Tracker, key: str) -> None:
        self.key = key
        self.replica = Replica(tracker.settings.lease_ttl / 2)
        self.sessions: dict[Session, None] = {}
        self.idle_since = tracker.now
        self.tracker = tracker
        self.companion: Companion | None = None
        self._batch: list[Step | Event] = []
        self._timer: asyncio.Handle | None = None
        self._quiet_until = 0.0
        self._written = NOWHERE

    # Sessions

    def add(self, session: Session) -> None:
        """From here on: what was gathered before is no news to a session that sees it already."""
        self._share()
        self.sessions[session] = None
        session.group = self
        if self.replica.ready:
            self._welcome(session)
        self.follow(session)

    def follow(self, session: Session) -> None:
        """What a session of the group wishes may be something else by now."""
        if session.companion and self.companion is None:
            self.companion = session.companion(self)
        if self.companion:
            self.companion.add(session)

    def remove(self, session: Session) -> None:
        session.group = None
        del self.sessions[session]
        if self.companion:
            self.companion.remove(session)
        if not self.sessions:
            self.idle_since = self.tracker.now

    def _welcome(self, session: Session) -> None:
        """Tell it what has come since it read the group, before it was served; who joins is refreshed by that."""
        seen, session.seen = session.seen, None
        if seen is not None and seen != (shown := self.replica.shown()):
            users = dict.fromkeys([*seen, *shown])
            session.pending += [Step(user, seen.get(user), shown.get(user)) for user in users]
        if session.own is None or session.pending:
            session.stale = True
            self.schedule()

    # News

    @property
    def behind(self) -> bool:
        """Whether something that the store has answered to this process is not in the replica yet."""
        place = self.replica.place
        reached = place.epoch == self._written.epoch and place.version >= self._written.version
        return not (reached or self.replica.current)

    def wrote(self, change: Change) -> None:
        """A Change that this process has made."""
        self._written = change.place
        self.apply(change)

    def apply(self, change: Change) -> None:
        self._moved(self.replica.apply(change, self.tracker.now))

    def receive(self, snapshot: Snapshot) -> None:
        first = not self.replica.ready
        self._moved(self.replica.receive(snapshot, self.tracker.now))
        if first and self.replica.ready:
            for session in tuple(self.sessions):  # some may wish to be elsewhere by now
                self._welcome(session)
                self.tracker.follow(session)
        self.tracker.settle()

    def _moved(self, steps: list[Step]) -> None:
        if steps and self.sessions:
            self._batch += steps
            self.schedule()
        if steps and self.companion:
            self.companion.moved(steps)
        self.tracker.fetch(self)

    def happened(self, event: Event) -> None:
        """A broadcast has come: for the browsers at once, for the views that handle it with the next refresh."""
        for host, sessions in by_host(self.sessions).items():
            host.send(sessions, event.name, event.payload)
        if any(session.listens for session in self.sessions):
            self._batch.append(event)
            self.schedule()

    # Telling

    def schedule(self) -> None:
        """Refresh who is stale, or becomes so by what is gathered: now, or when the last refresh is long enough ago."""
        if self._timer is None:
            delay = max(0.0, self._quiet_until - self.tracker.now)
            self._timer = self.tracker.later(delay, self._flush)

    def _share(self) -> None:
        batch, self._batch = self._batch, []
        if batch:
            steps = [entry for entry in batch if isinstance(entry, Step)]
            for session in self.sessions:
                if news := batch if session.listens else steps:
                    session.pending += news
                    session.stale = True

    def _flush(self) -> None:
        self._timer = None
        self._quiet_until = self.tracker.now + self.tracker.settings.refresh_interval
        self._share()
        for session in self.sessions:
            if session.stale:
                self.tracker.refresh(session)

    def discard(self) -> None:
        """Nobody is here any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.companion:
            self.companion.discard()
