"""A group that this process serves: the refreshes of its pages, and its extensions."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, Protocol

from ..bus import Bus
from ..conf import Settings
from ..state.audience import Audience
from ..state.events import Event
from ..state.records import Change, Snapshot, Step
from ..state.replica import Replica
from .clock import Alarm, Clock
from .connection import by_host
from .session import ExtensionFactory, GroupExtension, Session

__all__ = ["Group"]

RESTS = 2  # times the length of a refresh, until the next one begins
LONGEST_REST = 5.0  # seconds


class GroupOwner(Protocol):
    """The process that serves a group."""

    def fetch(self, group: Group) -> None:
        """Get the snapshot, if the group's replica asks for one."""

    def refresh(self, sessions: Sequence[Session]) -> None:
        """Let their hosts refresh *sessions*."""

    def follow(self, session: Session) -> None:
        """Submit the wishes of *session*, as the group is known."""

    def settle(self) -> None:
        """Confirm wishes, as a replica has caught up."""


class Group:
    """A served group: it passes on the first change at once, later ones at most once in every refresh interval.

    Refreshes of many pages, or of slow ones, are rarer, so that they take half of the time at most.
    """

    def __init__(self, key: str, settings: Settings, clock: Clock, bus: Bus, owner: GroupOwner) -> None:
        self.key = key
        self.settings = settings
        self.clock = clock
        self.bus = bus
        self.replica = Replica(settings.lease_ttl / 2)
        self.audience = Audience[Session](key, self.replica)
        self.extensions: dict[ExtensionFactory, GroupExtension] = {}
        self.idle_since = clock.now
        self._owner = owner
        self._alarm = Alarm(clock, self._flush)
        self._quiet_until = 0.0

    # Sessions

    def add(self, session: Session) -> None:
        """Add a live session."""
        session.enter(self)
        self.audience.add(session)
        self.follow(session)

    def look(self, session: Session) -> None:
        """Add a session that reads the group while it is mounted."""
        self.audience.look(session)
        self.idle_since = self.clock.now

    def look_away(self, session: Session) -> None:
        self.audience.mounting.discard(session)

    def give_up(self) -> None:
        """Let no mount wait, as the store does not answer."""
        for session in tuple(self.audience.mounting):
            session.stop_looking()

    def follow(self, session: Session) -> None:
        """Take in the wishes of *session*, which may have changed."""
        for factory, option in session.extensions.items():
            if factory not in self.extensions:
                self.extensions[factory] = factory(self)
            self.extensions[factory].add(session, option)

    def remove(self, session: Session) -> None:
        session.enter(None)
        self.audience.remove(session)
        for factory in session.extensions:
            if factory in self.extensions:
                self.extensions[factory].remove(session)
        self.idle_since = self.clock.now

    def idle_before(self, then: float) -> bool:
        """Return whether the group has had no sessions since *then*."""
        return self.audience.empty and self.idle_since < then

    # News

    def subscribed(self) -> None:
        """Ask for a snapshot, as messages arrive from here on: one under way may be older than the first of them."""
        self.replica.ask_anew()
        self._owner.fetch(self)

    def wrote(self, change: Change) -> None:
        """Apply a Change that this process has made."""
        self._moved(self.audience.wrote(change, self.clock.now))

    def apply(self, change: Change) -> None:
        """Apply a Change of another process."""
        self._moved(self.audience.apply(change, self.clock.now))

    def receive(self, snapshot: Snapshot) -> None:
        """Apply the snapshot of a fetch."""
        first = not self.replica.ready
        self._moved(self.audience.receive(snapshot, self.clock.now))
        for session in tuple(self.audience.live) if first else ():  # follow may move some to another group
            self._owner.follow(session)
        self._owner.settle()

    def _moved(self, steps: Sequence[Step]) -> None:
        self._schedule_news()
        for extension in self.extensions.values() if steps else ():
            extension.moved(steps)
        self._owner.fetch(self)

    def happened(self, event: Event) -> None:
        """Send a broadcast to the browsers at once, and to the views that handle it with the next refresh."""
        for host, sessions in by_host(self.audience.viewers).items():
            host.broadcast(sessions, event.name, event.payload)
        for extension in self.extensions.values():
            extension.happened(event)
        self.audience.happened(event)
        self._schedule_news()

    def hear(self, kind: str, *rest: Any) -> None:
        """Pass on a message for an extension."""
        for extension in self.extensions.values():
            extension.hear(kind, *rest)

    # Refreshes

    def _schedule_news(self) -> None:
        if self.audience.news:
            self.schedule()

    def schedule(self) -> None:
        """Refresh the stale sessions: now, or a refresh interval after the last time."""
        self._alarm.set(max(self.clock.now, self._quiet_until))

    def _flush(self) -> None:
        now = self.clock.now
        if now < self._quiet_until:  # the last refresh took long
            self._alarm.set(self._quiet_until)
            return
        self._quiet_until = now + self.settings.refresh_interval
        due, later = [], inf
        for session in self.audience.flush():
            if session.refreshing:
                continue  # it is stale until its own interval is over
            if session.is_due(now):
                due.append(session)
            else:
                later = min(later, session.quiet_until)
        self._owner.refresh(due)
        self._alarm.set(max(later, self._quiet_until))

    def refreshed(self, began: float, took: float) -> None:
        """Note that the refresh that *began* at that time *took* so many seconds."""
        self._quiet_until = max(self._quiet_until, began + min(RESTS * took, LONGEST_REST))

    def discard(self) -> None:
        """Stop, as the group is no longer served."""
        self._alarm.stop()
        for extension in self.extensions.values():
            extension.discard()
