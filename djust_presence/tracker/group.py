"""A group that this process serves: when its pages are refreshed, and its extensions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from ..bus import Bus
from ..conf import Settings
from ..state.audience import Audience
from ..state.events import Event
from ..state.records import Change, Snapshot, Step
from ..state.replica import Replica
from .clock import Clock
from .connection import by_host
from .session import ExtensionFactory, GroupExtension, Session

__all__ = ["Group"]


class Owner(Protocol):
    """The process that serves a group."""

    def fetch(self, group: Group) -> None:
        """Get the snapshot, if the group's replica asks for one."""

    def refresh(self, sessions: Sequence[Session]) -> None:
        """Let their hosts refresh *sessions*."""

    def follow(self, session: Session) -> None:
        """The group is known: the wishes of *session* can be submitted."""

    def settle(self) -> None:
        """A replica has caught up."""


class Group:
    """The first change is passed on at once, later ones at most once in every refresh interval."""

    def __init__(self, key: str, settings: Settings, clock: Clock, bus: Bus, owner: Owner) -> None:
        self.key = key
        self.settings = settings
        self.clock = clock
        self.bus = bus
        self.replica = Replica(settings.lease_ttl / 2)
        self.audience = Audience[Session](key, self.replica)
        self.extensions: dict[ExtensionFactory, GroupExtension] = {}
        self.idle_since = clock.now
        self._owner = owner
        self._timer: asyncio.Handle | None = None
        self._quiet_until = 0.0

    # Sessions

    def add(self, session: Session) -> None:
        """A live session."""
        session.enter(self)
        self.audience.add(session)
        self.follow(session)

    def look(self, session: Session) -> None:
        """A session that is being mounted reads the group."""
        self.audience.look(session)
        self.idle_since = self.clock.now

    def look_away(self, session: Session) -> None:
        self.audience.mounting.discard(session)

    def give_up(self) -> None:
        """The store does not answer: no mount waits for it."""
        for session in tuple(self.audience.mounting):
            session.stop_looking()

    def follow(self, session: Session) -> None:
        """The wishes of *session* may have changed."""
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
        """Messages arrive from here on: a snapshot that was asked for before may be older than the first of them."""
        self.replica.ask_anew()
        self._owner.fetch(self)

    def wrote(self, change: Change) -> None:
        """A Change that this process has made."""
        self._moved(self.audience.wrote(change, self.clock.now))

    def apply(self, change: Change) -> None:
        """A Change of another process."""
        self._moved(self.audience.apply(change, self.clock.now))

    def receive(self, snapshot: Snapshot) -> None:
        """The answer to a fetch."""
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
        """A broadcast: sent to the browsers at once, given to the views that handle it with the next refresh."""
        for host, sessions in by_host(self.audience.viewers).items():
            host.broadcast(sessions, event.name, event.payload)
        for extension in self.extensions.values():
            extension.happened(event)
        self.audience.happened(event)
        self._schedule_news()

    def hear(self, kind: str, *rest: Any) -> None:
        """A message for an extension."""
        for extension in self.extensions.values():
            extension.hear(kind, *rest)

    # Refreshes

    def _schedule_news(self) -> None:
        if self.audience.news:
            self.schedule()

    def schedule(self) -> None:
        """Refresh the stale sessions: now, or a refresh interval after the last time."""
        if self._timer is None:
            delay = max(0.0, self._quiet_until - self.clock.now)
            self._timer = self.clock.later(delay, self._flush)

    def _flush(self) -> None:
        self._timer = None
        self._quiet_until = self.clock.now + self.settings.refresh_interval
        self._owner.refresh(self.audience.flush())

    def discard(self) -> None:
        """The group is no longer served."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for extension in self.extensions.values():
            extension.discard()
