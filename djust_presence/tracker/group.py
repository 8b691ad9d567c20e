"""A group that this process serves: its replica, its sessions, and what they are to be told next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

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
        self._mounting: WeakSet[Session] = WeakSet()  # a mount that is refused just goes
        self.idle_since = tracker.now
        self.tracker = tracker
        self.companion: Companion | None = None
        self._batch: list[Step | Event] = []
        self._timer: asyncio.Handle | None = None
        self._quiet_until = 0.0
        self._written = NOWHERE
        self._ask_again = False

    # Sessions

    def add(self, session: Session) -> None:
        """From here on: what was gathered before is no news to a session that sees it already."""
        self._share()
        looked = session in self._mounting and self.replica.ready
        self._mounting.discard(session)
        self.sessions[session] = None
        session.group = self
        if self.replica.ready:
            self._welcome(session, looked)
        self.follow(session)

    def look(self, session: Session) -> None:
        """The same for one that is not live yet, and reads the group; what comes from here on it is told once it is."""
        self._share()
        self._mounting.add(session)
        self.idle_since = self.tracker.now
        if self.replica.ready:
            session.know(self.replica.shown())

    def look_away(self, session: Session) -> None:
        self._mounting.discard(session)

    def give_up(self) -> None:
        """The store does not answer: no mount waits for that."""
        for session in tuple(self._mounting):
            session.stop_looking()

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

    def _welcome(self, session: Session, looked: bool = False) -> None:
        """Refresh it if its page may show something else; who joins is refreshed by that."""
        if session.pending or (session.own is None and not looked):
            session.stale = True
            self.schedule()

    def subscribed(self) -> None:
        """Messages arrive from here on: a snapshot that was asked for before may be older than the first of them."""
        if self.replica.asks:
            self.tracker.fetch(self)
        elif not self.replica.current:
            self._ask_again = True
        else:
            self.replica.ask()
            self.tracker.fetch(self)

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
            for session in tuple(self._mounting):
                session.know(self.replica.shown())
        if self._ask_again:
            self._ask_again = False
            self.replica.ask()
            self.tracker.fetch(self)
        self.tracker.settle()

    def _moved(self, steps: list[Step]) -> None:
        if steps and (self.sessions or self._mounting):
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
            for session in (*self.sessions, *self._mounting):
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
