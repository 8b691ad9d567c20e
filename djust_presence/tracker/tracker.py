"""The presence of one process (and loop): its sessions, the groups it serves, and its writes and messages."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Iterable
from typing import Any

from ..backends.base import Backend
from ..bus import NOTICES, Bus, Item, LayerBus, LocalBus, channel_layer
from ..conf import Settings
from ..errors import PresenceUnavailable
from ..state.events import Event
from ..state.keeper import Keeper, Timing
from ..state.outbox import Outbox
from ..state.records import Change, Member
from ..state.replica import Replica
from ..state.submissions import Submissions
from .chance import fresh
from .clock import Alarm, Clock
from .connection import Connection, Host, by_host
from .endings import Ending, grace_after
from .group import Group
from .items import Incoming
from .reader import Reader
from .refresher import Refresher
from .session import Session
from .signalling import Signalling, news_of
from .upkeep import Upkeep
from .writer import Writer

__all__ = ["Tracker"]

FIRST_FETCH = 0.2  # seconds after which a group is read though the layer has not answered yet
LINGER = 30.0  # seconds for which a group without sessions is still served: its pages may be reloading


class Tracker:
    """Carries out the wishes of its sessions, with as few calls to the store and as few messages as possible.

    Use it on the loop of its *clock*; methods that may be called from any thread say so.
    """

    def __init__(self, backend: Backend, settings: Settings) -> None:
        self.clock = Clock()
        self.backend = backend
        self.settings = settings
        self.signals = Signalling(self.clock.spawn)
        self._layer = channel_layer() if backend.shared else None
        self._connections: dict[Connection[Session], None] = {}
        self.groups: dict[str, Group] = {}
        self._replicas: dict[str, Replica] = {}  # the replicas of these
        self._refresher = Refresher(self.clock)
        self._running: list[asyncio.Task[None]] = []
        self._stopped = False
        self._graces = Alarm(self.clock, self._expire)
        self._make_parts()

    def _make_parts(self) -> None:
        """Make the parts that end with a stop; the former ones may still be busy stopping."""
        hear = Incoming(self.groups, self._notice).hear
        self.bus: Bus = LayerBus(hear, self._layer, self.backend.namespace) if self._layer else LocalBus(hear)
        self._outbox = Outbox(fresh, self._shown)
        self._submissions = Submissions(self._outbox)
        timing = Timing.of(self.settings.lease_ttl)
        self._keeper = Keeper(self._outbox, self._replicas, timing, fresh, random.random)
        self._writer = Writer(self.backend, self.bus, self.clock, self._keeper, self)
        self._reader = Reader(self.backend, self.clock, self.settings.renew_interval / 2)

    @property
    def running(self) -> bool:
        """True if its loop has sessions, or had some a moment ago. From any thread."""
        return bool(self._running) and self.clock.loop.is_running()

    # Connections and sessions

    def connect(self, host: Host[Session], owner: Any) -> Connection[Session]:
        """Create a connection; *owner* is the host's own object for it. It has no effect until it begins."""
        return Connection(self, self.clock, host, owner)

    def session(self, connection: Connection[Session], owner: Any) -> Session:
        """Create a session; *owner* is the host's own object for it. It has no effect until ``Session.live()``."""
        return Session(self, self.clock, connection, owner)

    @property
    def sessions(self) -> list[Session]:
        """The live sessions."""
        return [session for connection in self._connections for session in connection.sessions]

    def connected(self, connection: Connection[Session]) -> None:
        self._connections[connection] = None
        self._start()

    def disconnected(self, connection: Connection[Session], ending: Ending) -> asyncio.Task[None] | None:
        for session in tuple(connection.sessions):
            session.end(ending)
        del self._connections[connection]
        return self.drain() if ending is Ending.RESTART and not self._connections else None

    def admit(self, session: Session) -> None:
        taken_over = self._submissions.take_over(session)
        self.follow(session)
        if taken_over:
            session.refresh()  # its page was rendered with another connection too many
        self._look_away(
            session, session.mount_reads.key if session.mount_reads else None
        )  # it has read another group than its own

    def follow(self, session: Session) -> None:
        """Carry out the wishes of the session."""
        if not session.open:
            return
        self._start()
        key, group = session.key, session.audience and self.groups[session.audience.key]
        if group and group.key != key:
            group.remove(session)
            group = None
        if group:
            group.follow(session)
        elif key is not None:
            self._serve(key).add(session)
        self._submissions.submit(session)
        self._writer.wake()

    def dismiss(self, session: Session, ending: Ending) -> None:
        if session.audience:
            self.groups[session.audience.key].remove(session)
        self._submissions.end(session, grace_after(ending, self.settings), self.clock.now)
        self._writer.wake()
        self._graces.set(self._submissions.due)

    def _expire(self) -> None:
        self._submissions.expire(self.clock.now)
        self._writer.wake()
        self._graces.set(self._submissions.due)

    # Groups

    def replica_of(self, key: str) -> Replica | None:
        """Return the group's replica, if this process serves it and knows the members. From any thread."""
        replica = self._replicas.get(key)
        return replica if replica and replica.ready else None

    def _shown(self, key: str, user: str) -> Member | None:
        replica = self._replicas.get(key)
        return replica.member(user) if replica else None

    def _serve(self, key: str) -> Group:
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(key, self.settings, self.clock, self.bus, self)
            self._replicas[key] = group.replica
            self.bus.subscribe(key, group.subscribed)
            self.clock.later(FIRST_FETCH, self.fetch, group)
        return group

    def look(self, session: Session, key: str, before: str | None) -> None:
        """Serve the group *key* to a session that is not live yet."""
        self._start()
        self._look_away(session, before)
        self._serve(key).look(session)
        if self._reader.failed_lately:
            session.stop_looking()

    def _look_away(self, session: Session, key: str | None) -> None:
        if key is not None and (group := self.groups.get(key)):
            group.look_away(session)

    def fetch(self, group: Group) -> None:
        """Get the snapshot, if the group's replica asks for one."""
        if group.replica.asks and self.groups.get(group.key) is group:
            self._reader.fetch(group)

    def settle(self, touched: Iterable[str] = ()) -> None:
        """Confirm settled wishes, and get the snapshots that replicas of the groups *touched* ask for."""
        for key in touched:
            if group := self.groups.get(key):
                self.fetch(group)
        self._submissions.settle()

    def refresh(self, sessions: Iterable[Session]) -> None:
        self._refresher.refresh(sessions)

    # Messages

    def broadcast(self, key: str, event: Event) -> None:
        """Send an event to all sessions of a group, in all processes."""
        self.bus.publish(key, [event.item])
        if group := self.groups.get(key):
            group.happened(event)

    def publish(self, changes: Iterable[Change]) -> None:
        """Publish Changes of this process: here at once, to other processes in one message a group, and by signals."""
        items: dict[str, list[Item]] = {}
        changes = list(changes)
        self.signals.put(news_of(changes))
        for change in changes:
            items.setdefault(change.key, []).append(["change", *change.pack()])
            if group := self.groups.get(change.key):
                group.wrote(change)
        for key, some in items.items():
            self.bus.publish(key, some)

    def _notice(self, kind: str, *rest: Any) -> None:
        for host, connections in by_host(self._connections).items():
            host.notice(connections, kind, *rest)

    # Start and stop

    def _start(self) -> None:
        if not self._running:
            if self._stopped:
                self._make_parts()
            runs = self._writer.run, self._reader.run, self._housekeeping
            self._running = [self.clock.supervise(run) for run in runs]
            self.bus.subscribe(NOTICES, lambda: None)
        if self._keeper.start():
            for session in self.sessions:  # present again, after a clean stop that did not end the process
                self._submissions.submit(session)
            self._writer.wake()

    async def _housekeeping(self) -> None:
        """Look after sessions and drop idle groups; return when no session is left."""
        upkeep = Upkeep(self.settings, self.clock)
        idle = 0.0
        while idle < LINGER:
            await asyncio.sleep(upkeep.interval)
            upkeep.run(self._connections)
            self._drop_idle_groups()
            idle = 0.0 if self._connections or self.groups else idle + upkeep.interval
        self._stop()

    def _drop_idle_groups(self) -> None:
        before = self.clock.now - LINGER
        idle = [group for group in self.groups.values() if group.idle_before(before)]
        wanted = {wish.key for wish in self._outbox.wanted.values()} if idle else ()
        for group in idle:
            if group.key not in wanted:
                self._discard(group)

    def _discard(self, group: Group) -> None:
        group.discard()
        self.bus.unsubscribe(group.key)
        del self.groups[group.key], self._replicas[group.key]

    def drain(self) -> asyncio.Task[None]:
        """Begin a clean stop: users whose page connects to another process within DRAIN_GRACE stay present.

        It retires the lease, not the process: later presences get another lease. The task may be awaited.
        """
        told = self._writer.retire(self._submissions.retire(), self.settings.drain_grace)
        return self.clock.spawn(self._drain(told))

    async def _drain(self, told: Awaitable[None]) -> None:
        await told
        await self.signals.flush()

    def drain_now(self) -> None:
        """Do the same when the process ends: blocking, from any thread, and without messages to other processes.

        Raises ``PresenceUnavailable`` if the store has not heard of it.
        """
        self._writer.retire_now(self._submissions.retire(), self.settings.drain_grace)

    def take_unheard(self) -> PresenceUnavailable | None:
        """Return, once, the error that kept the last drain from the store; None if there was none."""
        return self._writer.take_unheard()

    async def aclose(self) -> None:
        """Let all users leave at once, and end every task."""
        for connection in tuple(self._connections):
            connection.end()
        self._stop()
        await self.clock.wait()
        await self.backend.aclose()

    def _stop(self) -> None:
        running, self._running, self._stopped = self._running, [], True
        self._submissions.retire()
        told = self._writer.retire(tuple(self._outbox.wanted), 0)
        self.clock.spawn(_end(told, running, self.bus, self.signals))
        for group in tuple(self.groups.values()):
            self._discard(group)


async def _end(
    told: Awaitable[None], running: Iterable[asyncio.Task[None]], bus: Bus, signals: Signalling
) -> None:
    await told
    for task in running:
        task.cancel()
    await bus.aclose()
    await signals.aclose()
