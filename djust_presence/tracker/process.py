"""The tracker: one writer, one reader and one clock for all that a process (and loop) does for presence."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextvars import Context
from typing import Any, ParamSpec, TypeVar
from uuid import uuid4

from ..backends.base import Backend
from ..bus import Bus, Item, LayerBus, LocalBus, channel_layer
from ..conf import Settings
from ..errors import PresenceUnavailable
from ..state.outbox import Batch, Outbox
from ..state.records import Change, Member, Status
from .group import Group
from .session import Event, Host, Session, by_host

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("djust_presence")

OPS_PER_BATCH = 500
GROUPS_PER_FETCH = 100
REFS_PER_CLAIM = 500
SESSIONS_PER_HOP = 20
LINGER = 30.0  # a group that nobody here looks at is served on for so long: they may be reloading
DOUBT = 0.25  # a replica that differs from a renewal's answer may only be ahead of it, or behind, for so long
REJOINS_PER_SECOND = 200  # of a process, after the store lost it; all of them within one renewal
SILENT = 4000  # the close code of a connection that gave no sign of life


def fresh() -> str:
    """An id that nobody has used before."""
    return uuid4().hex


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: more each time, up to five, never in step with others."""
    return min(5.0, 0.1 * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)


class Tracker:
    """Keeps the promise of each session with as few calls to the store, and as few messages, as can be.

    To be used on its loop; what says so may be called from any thread.
    """

    def __init__(self, backend: Backend, settings: Settings) -> None:
        self.loop = asyncio.get_running_loop()
        self.backend = backend
        self.settings = settings
        self.reachable = True  # whether the store answered the last time
        self._bus: Bus = LayerBus(self._hear, channel_layer()) if backend.shared else LocalBus(self._hear)
        self._outbox = Outbox(fresh, self._shown)
        self._groups: dict[str, Group] = {}
        self._sessions: dict[Session, None] = {}
        self._unsettled: dict[str, Session] = {}  # ref -> whose wish the store has not confirmed yet
        self._leaving: dict[str, asyncio.TimerHandle] = {}  # ref -> when its grace is over
        self._fleeting: set[str] = set()  # refs that cannot come back after their connection is lost
        self._asking: dict[Group, None] = {}
        self._due: dict[Session, None] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._turning = asyncio.Lock()  # one call to the store that writes, at a time
        self._wake = asyncio.Event()
        self._fetching = asyncio.Event()
        self._resting = True  # a clean stop was begun, or nobody has come yet: no lease is held
        self._open_at = self._renew_at = 0.0
        self._reaping = False

    # Sessions

    def session(self, host: Host, view: Any) -> Session:
        """A session for *view*, which is nothing to anybody until it is live."""
        return Session(self, host, view)

    def admit(self, session: Session) -> None:
        self._sessions[session] = None
        self._start()
        self.follow(session)

    def follow(self, session: Session) -> None:
        """Do what the session wishes by now."""
        if not session.open:
            return
        if session.group and session.group.key != session.key:
            session.group.remove(session)
            session.confirmed = None
        if session.key is not None and session.group is None:
            self._serve(session.key).add(session)
        own, told = session.own, session.told
        if told and (own is None or own.ref != told.ref):
            self._leave(told.ref)
            self._unsettled[told.ref] = session
            session.told = told = None
        # Only once the others are known is it sure that one's own coming is seen as such.
        if own and own != told and session.served:
            self._outbox.want(own.ref, own.wish)
            self._unsettled[own.ref] = session
            if not own.lasting:
                self._fleeting.add(own.ref)
            session.told = own
        self._settle()
        self._wake.set()

    def dismiss(self, session: Session, going_away: bool) -> asyncio.Task[None] | None:
        del self._sessions[session]
        if session.group:
            session.group.remove(session)
        if told := session.told:
            grace = self.settings.drain_grace if going_away else self.settings.grace
            if told.lasting and grace:
                self._leaving[told.ref] = self._later(grace, self._leave, told.ref)
            else:
                self._leave(told.ref)
        return self._spawn(self.drain()) if going_away and not self._sessions else None

    def _leave(self, ref: str) -> None:
        self._leaving.pop(ref, None)
        self._fleeting.discard(ref)
        self._outbox.drop(ref)
        self._wake.set()

    def _settle(self) -> None:
        """What the store has confirmed is in the replica, and need no longer be laid over it."""
        for ref, session in list(self._unsettled.items()):
            if self._outbox.settled(ref):
                del self._unsettled[ref]
                if session.told is None or self._outbox.settled(session.told.ref):
                    session.confirmed = session.told

    # Groups

    def replica_of(self, key: str) -> Group | None:
        """The group, if this process serves it and knows who is there. From any thread."""
        group = self._groups.get(key)
        return group if group and group.replica.ready else None

    def _serve(self, key: str) -> Group:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(self, key, self.settings.lease_ttl / 2)
            self._bus.subscribe(key, lambda: self.fetch(group))
        return group

    def _shown(self, key: str, user: str) -> Member | None:
        group = self._groups.get(key)
        return group.replica.member(user) if group else None

    def broadcast(self, key: str, name: str, payload: Any) -> None:
        self._bus.publish(key, [["event", name, payload]])
        if group := self._groups.get(key):
            group.happened(Event(name, payload))

    def _publish(self, changes: Iterable[Change]) -> None:
        """Our own Changes: here at once, and to the others in one message a group."""
        items: dict[str, list[Item]] = {}
        for change in changes:
            items.setdefault(change.key, []).append(["change", *change.pack()])
            if group := self._groups.get(change.key):
                group.apply(change)
        for key, some in items.items():
            self._bus.publish(key, some)

    def _hear(self, key: str, items: list[Item]) -> None:
        if group := self._groups.get(key):
            for kind, *rest in items:
                if kind == "change":
                    group.apply(Change.unpack(key, rest))
                elif kind == "event":
                    group.happened(Event(*rest))

    # Refreshes

    def refresh(self, session: Session) -> None:
        """Let the host refresh *session*, in one go with whoever else is due."""
        if not self._due:
            self._later(0, self._deliver)
        self._due[session] = None

    def _deliver(self) -> None:
        due = [session for session in self._due if session.open and session.stale and not session.refreshing]
        self._due.clear()
        for host, sessions in by_host(due).items():
            for some in chunks(sessions, SESSIONS_PER_HOP):
                for session in some:
                    session.prepare()
                self._spawn(self._refresh(host, some))

    async def _refresh(self, host: Host, sessions: Sequence[Session]) -> None:
        try:
            await host.refresh(sessions)
        finally:
            for session in sessions:
                session.refreshing = False
                if session.stale and session.group:
                    session.group.schedule()

    # The writer: the one that changes the store, one call at a time

    async def _write(self) -> None:
        failures = 0
        while True:
            self._wake.clear()
            try:
                async with self._turning:
                    more = await self._turn()
            except PresenceUnavailable as error:
                failures += 1
                self._unreachable(error)
                await asyncio.sleep(backoff(failures))
                continue
            failures = 0
            if not more:
                await self._until(self._renew_at if self._outbox.lease else self._open_at)

    async def _until(self, when: float) -> None:
        if self._resting:
            await self._wake.wait()
            return
        timer = self._later(max(0.0, when - self.loop.time()), self._wake.set)
        await self._wake.wait()
        timer.cancel()

    async def _turn(self) -> bool:
        """The next thing that is due; False if nothing is."""
        lease, now = self._outbox.lease, self.loop.time()
        if lease is None and (self._resting or now < self._open_at):
            return False
        if lease and not self._outbox.busy and now >= self._renew_at:
            await self._renew(lease)
        elif batch := self._outbox.next(OPS_PER_BATCH):
            await self._send(batch)
        elif self._reaping and lease:
            await self._reap(lease)
        else:
            return False
        self._reached()
        return True

    async def _send(self, batch: Batch) -> None:
        if batch.ops:
            replies = await self.backend.awrite(batch.lease, batch.ops)
        else:
            await self.backend.aopen(batch.lease, self.settings.lease_ttl)
            replies = []
            self._renew_at = self.loop.time() + self.settings.renew_interval
            self._reaping = False
            self._hold()
        answer = self._outbox.answer(batch, replies)
        self._publish(answer.changes)
        for key in answer.unsure & self._groups.keys():
            self._groups[key].replica.ask()
            self.fetch(self._groups[key])
        if self._outbox.lease is None:
            self._begin_anew()
        self._settle()

    async def _renew(self, lease: str) -> None:
        keys = [key for key, group in self._groups.items() if group.replica.ready]
        renewal = await self.backend.arenew(lease, self._outbox.seq, keys)
        now = self.loop.time()
        self._renew_at = now + self.settings.renew_interval
        self._bus.again()
        if renewal.status is Status.DEAD:
            self._outbox.lost(lease)
            self._begin_anew()
            return
        # Who comes late buries nobody: everybody else may be just as late.
        self._reaping = not renewal.late
        if renewal.late:
            self._hold()
        self._outbox.renewed(renewal.places)
        doubtful = []
        for key, place in renewal.places.items():
            if group := self._groups.get(key):
                if group.replica.compare(place, now):
                    doubtful.append(group)
                if group.replica.asks:
                    self.fetch(group)
        if doubtful:
            self._later(DOUBT, self._doubt, doubtful)

    def _doubt(self, groups: Sequence[Group]) -> None:
        for group in groups:
            group.replica.doubt()
            if group.replica.asks:
                self.fetch(group)

    def _begin_anew(self) -> None:
        """The store has lost this process: after a flush all do this, so not all at once."""
        spread = min(self.settings.renew_interval, len(self._outbox.wanted) / REJOINS_PER_SECOND)
        self._open_at = self.loop.time() + random.random() * spread
        self._bus.again(always=True)

    def _hold(self) -> None:
        for group in self._groups.values():
            group.replica.restart_hold(self.loop.time())

    async def _reap(self, lease: str) -> None:
        """One round of removing what dead leases have left."""
        work = await self.backend.aclaim(lease, REFS_PER_CLAIM, 0)
        self._reaping = bool(work)
        for dead, key, refs in work or ():
            if change := await self.backend.areap(dead, key, refs, fresh()):
                self._publish([change])

    # The reader

    def fetch(self, group: Group) -> None:
        """Get the snapshot that the group's replica asks for."""
        self._asking[group] = None
        self._fetching.set()

    async def _read(self) -> None:
        failures = 0
        while True:
            await self._fetching.wait()
            groups = list(self._asking)[:GROUPS_PER_FETCH]
            for group in groups:
                del self._asking[group]
            groups = [
                group for group in groups if group is self._groups.get(group.key) and group.replica.asks
            ]
            if not self._asking:
                self._fetching.clear()
            if not groups:
                continue
            for group in groups:
                group.replica.asked()
            try:
                snapshots = await self.backend.asnapshots([group.key for group in groups])
            except PresenceUnavailable as error:
                failures += 1
                self._unreachable(error)
                await asyncio.sleep(backoff(failures))
                for group in groups:
                    group.replica.failed()
                    self.fetch(group)
                continue
            failures = 0
            self._reached()
            for group, snapshot in zip(groups, snapshots, strict=True):
                group.receive(snapshot)

    # The clock

    async def _keep(self) -> None:
        """Ping, close what is silent, let go of groups without sessions, and stop when nobody is left."""
        tick = min(3.0, self.settings.heartbeat_interval / 10)
        idle = 0.0
        while idle < LINGER:
            await asyncio.sleep(tick)
            self._listen_to_sessions(self.loop.time())
            self._let_go(self.loop.time() - LINGER)
            idle = 0.0 if self._sessions or self._outbox.wanted or self._groups else idle + tick
        self._loops.remove(asyncio.current_task())  # type: ignore[arg-type]
        await self._stop(())

    def _listen_to_sessions(self, now: float) -> None:
        pinged = []
        for session in tuple(self._sessions):
            if now - session.heard_at >= self.settings.timeout:
                session.host.close(session, SILENT, "timeout")
            elif now - session.pinged_at >= self.settings.heartbeat_interval:
                session.pinged_at = now
                pinged.append(session)
        for host, sessions in by_host(pinged).items():
            host.ping(sessions)

    def _let_go(self, before: float) -> None:
        idle = [group for group in self._groups.values() if not group.sessions and group.idle_since < before]
        if idle:
            wanted = {wish.key for wish in self._outbox.wanted.values()}
            for group in idle:
                if group.key not in wanted:
                    group.discard()
                    self._bus.unsubscribe(group.key)
                    del self._groups[group.key]

    # Start and stop

    def _start(self) -> None:
        self._resting = False
        if not self._loops:
            self._loops = [
                self._spawn(self._supervised(run)) for run in (self._write, self._read, self._keep)
            ]

    async def _supervised(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await run()
                return
            except Exception:
                logger.exception("Presence tracking stumbled, and goes on.")
                await asyncio.sleep(1)

    async def drain(self) -> None:
        """A clean stop: whoever comes back elsewhere within DRAIN_GRACE has never been away.

        It retires the lease, not the process: what is tracked later goes under a new one.
        """
        async with self._turning:
            batch, grace = self._retire(self._fleeting), self.settings.drain_grace
            if batch is None:
                return
            try:
                replies = await self.backend.awrite(batch.lease, batch.ops) if batch.ops else []
                self._publish(self._outbox.answer(batch, replies).changes)
                await self.backend.adrain(batch.lease, grace)
            except PresenceUnavailable as error:
                self._unreachable(error)

    def drain_now(self) -> list[Change]:
        """The same without the loop, when the process ends: blocking, and the Changes are the caller's to publish."""
        batch, grace = self._retire(self._fleeting), self.settings.drain_grace
        if batch is None:
            return []
        replies = self.backend.write(batch.lease, batch.ops) if batch.ops else []
        self.backend.drain(batch.lease, grace)
        return [reply.change for reply in replies if reply.change]

    def _retire(self, leaving: Iterable[str]) -> Batch | None:
        self._resting = True
        for timer in self._leaving.values():
            timer.cancel()
        self._leaving.clear()
        batch = self._outbox.retire(tuple(leaving))
        self._fleeting.clear()
        return batch

    async def aclose(self) -> None:
        """Leave with everybody at once, and end every task. Open sessions are no longer served."""
        for session in tuple(self._sessions):
            session.end()
        await self._stop(tuple(self._outbox.wanted))
        await self.backend.aclose()

    async def _stop(self, leaving: Iterable[str]) -> None:
        loops, self._loops = self._loops, []
        async with self._turning:
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            batch = self._retire(leaving)
            try:
                if batch:
                    replies = await self.backend.awrite(batch.lease, batch.ops) if batch.ops else []
                    self._publish(self._outbox.answer(batch, replies).changes)
                    await self.backend.adrain(batch.lease, 0)
            except PresenceUnavailable as error:
                self._unreachable(error)
        for key, group in self._groups.items():
            group.discard()
            self._bus.unsubscribe(key)
        self._groups.clear()
        await self._bus.aclose()

    # Helpers

    def call(self, function: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call *function* on the loop: at once if this is it. From any thread."""
        try:
            here = asyncio.get_running_loop() is self.loop
        except RuntimeError:
            here = False
        if here:
            function(*args, **kwargs)
        else:
            self.loop.call_soon_threadsafe(lambda: function(*args, **kwargs), context=Context())

    def _later(self, delay: float, function: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        return self.loop.call_later(delay, function, *args, context=Context())

    def _spawn(self, run: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task with none of the caller's context (language, connections), and held until it is done."""
        task = self.loop.create_task(run, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("Presence tracking failed.", exc_info=error)

    def _unreachable(self, error: PresenceUnavailable) -> None:
        if self.reachable:
            self.reachable = False
            logger.error(
                "The presence store does not answer (%s). Counts stay as they are until it does.", error
            )

    def _reached(self) -> None:
        if not self.reachable:
            self.reachable = True
            logger.warning("The presence store answers again.")
