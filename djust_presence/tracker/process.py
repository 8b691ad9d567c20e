"""The tracker: the sessions and groups of a process (and loop), and the clock of them all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextvars import Context
from typing import Any, ParamSpec, TypeVar

from ..backends.base import Backend
from ..bus import NOTICES, Bus, Item, LayerBus, LocalBus, channel_layer
from ..conf import Settings
from ..errors import PresenceUnavailable
from ..rates import LogLimit
from ..state.outbox import Wish
from ..state.records import Change, Member
from ..state.replica import Replica
from .endings import Ending, grace_after
from .group import Group
from .items import read_change, read_event
from .reader import Reader
from .session import Event, Host, Own, Session, by_host
from .signalling import Signalling, news_of
from .watch import Watch
from .writer import Writer

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("djust_presence")

SESSIONS_PER_HOP = 20
FIRST_FETCH = 0.2  # seconds after which a group is read even if the layer has not answered yet
LINGER = 30.0  # a group that nobody here looks at is served on for so long: they may be reloading

_unreadable = LogLimit()


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


class Tracker:
    """Keeps the promise of each session with as few calls to the store, and as few messages, as can be.

    To be used on its loop; what says so may be called from any thread.
    """

    def __init__(self, backend: Backend, settings: Settings) -> None:
        self.loop = asyncio.get_running_loop()
        self.backend = backend
        self.settings = settings
        self.groups: dict[str, Group] = {}
        self.replicas: dict[str, Replica] = {}  # theirs
        self._layer = channel_layer() if backend.shared else None
        self._sessions: dict[Session, None] = {}
        # By key and user, the sessions that have ended and whose grace is not over, and what ends it.
        self._leaving: dict[tuple[str, str], dict[Session, asyncio.TimerHandle]] = {}
        self._due: dict[Session, None] = {}
        self._running: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopped = False
        self.signals = Signalling(self._spawn)
        self._equip()

    def _equip(self) -> None:
        """After a stop there are other parts than before: those may still be busy with their end."""
        self.bus: Bus = (
            LayerBus(self._hear, self._layer, self.backend.namespace) if self._layer else LocalBus(self._hear)
        )
        self._writer = Writer(self)
        self._reader = Reader(self)

    @property
    def running(self) -> bool:
        """True if its loop has sessions, or had some a moment ago. From any thread."""
        return bool(self._running) and self.loop.is_running()

    @property
    def now(self) -> float:
        return self.loop.time()

    # Sessions

    def session(self, host: Host, view: Any) -> Session:
        """A session for *view*, which is nothing to anybody until it is live."""
        return Session(self, host, view)

    def admit(self, session: Session) -> None:
        self._sessions[session] = None
        taken_over = self._take_over(session)
        self.follow(session)
        if taken_over:
            session.refresh()  # its page was rendered with one connection more
        self._look_away(session, session.looks_at)  # it has read another group than it is in

    def _take_over(self, session: Session) -> bool:
        """Let *session* go on as what its user is still present as: after a reload the store has nothing to hear.

        Return whether there was such a thing.
        """
        own = session.own
        waiting = self._leaving.get((own.wish.key, own.wish.user)) if own and own.lasting else None
        if not (own and waiting):
            return False
        same = (one for one in waiting if one.told and one.told.wish.meta == own.wish.meta)
        before = next(same, next(iter(waiting)))
        self._stop_waiting(before, own.wish).cancel()
        session.go_on_as(before)
        self._writer.go_on(session)
        return True

    def _stop_waiting(self, session: Session, wish: Wish) -> asyncio.TimerHandle:
        who = wish.key, wish.user
        timer = self._leaving[who].pop(session)
        if not self._leaving[who]:
            del self._leaving[who]
        return timer

    def follow(self, session: Session) -> None:
        """Do what the session wishes by now."""
        if not session.open:
            return
        self._start()
        if session.group and session.group.key != session.key:
            session.group.remove(session)
            session.confirmed = None
        if session.group:
            session.group.follow(session)
        elif session.key is not None:
            self._serve(session.key).add(session)
        self._writer.follow(session)

    def dismiss(self, session: Session, ending: Ending) -> asyncio.Task[None] | None:
        del self._sessions[session]
        if session.group:
            session.group.remove(session)
        if told := session.told:
            grace = grace_after(ending, self.settings)
            still_wished = session.own is not None and session.own.ref == told.ref
            if told.lasting and still_wished and grace:
                waiting = self._leaving.setdefault((told.wish.key, told.wish.user), {})
                waiting[session] = self.later(grace, self._leave, session, told)
            else:
                self._writer.drop(told.ref)
        return self.drain() if ending is Ending.RESTART and not self._sessions else None

    def _leave(self, session: Session, told: Own) -> None:
        self._stop_waiting(session, told.wish)
        self._writer.drop(told.ref)

    # Groups

    def replica_of(self, key: str) -> Group | None:
        """The group, if this process serves it and knows who is there. From any thread."""
        group = self.groups.get(key)
        return group if group and group.replica.ready else None

    def shown(self, key: str, user: str) -> Member | None:
        """What this process shows of a user."""
        group = self.groups.get(key)
        return group.replica.member(user) if group else None

    def fetch(self, group: Group) -> None:
        """Get the snapshot, if the group's replica asks for one."""
        if group.replica.asks and self.groups.get(group.key) is group:
            self._reader.fetch(group)

    def settle(self) -> None:
        """A replica knows more than before."""
        self._writer.settle()

    def _serve(self, key: str) -> Group:
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(self, key)
            self.replicas[key] = group.replica
            self.bus.subscribe(key, group.subscribed)
            self.later(FIRST_FETCH, self.fetch, group)
        return group

    def look(self, session: Session, key: str, before: str | None) -> None:
        """Serve a group that a session reads which is not live yet, and has read that of *before* until now."""
        self._start()
        self._look_away(session, before)
        group = self._serve(key)
        group.look(session)
        if self._reader.failed_lately:
            session.stop_looking()

    def _look_away(self, session: Session, key: str | None) -> None:
        if key is not None and (group := self.groups.get(key)):
            group.look_away(session)

    # Messages

    def broadcast(self, key: str, name: str, payload: Any) -> None:
        """Send an event to all sessions of a group, here and elsewhere."""
        self.bus.publish(key, [["event", name, payload]])
        if group := self.groups.get(key):
            group.happened(Event(name, payload))

    def publish(self, changes: Iterable[Change]) -> None:
        """Let our own Changes be known: here at once, to the others in one message a group, and by signals."""
        items: dict[str, list[Item]] = {}
        changes = list(changes)
        self.signals.put(news_of(changes))
        for change in changes:
            items.setdefault(change.key, []).append(["change", *change.pack()])
            if group := self.groups.get(change.key):
                group.wrote(change)
        for key, some in items.items():
            self.bus.publish(key, some)

    def _hear(self, key: str, items: list[Item]) -> None:
        for item in items:
            try:
                self._take_in(key, item)
            except Exception:  # of another version of this package, or of another program
                if (left_out := _unreadable.line()) is not None:
                    logger.exception("Could not take in an item of another process.%s", left_out)

    def _take_in(self, key: str, item: Item) -> None:
        kind, *rest = item
        if key == NOTICES:
            for host, sessions in by_host(self._sessions).items():
                host.notice(sessions, kind, *rest)
        elif group := self.groups.get(key):
            if kind == "change":
                group.apply(read_change(key, rest))
            elif kind == "event":
                group.happened(read_event(rest))
            elif group.companion:
                group.companion.hear(kind, *rest)

    # Refreshes

    def refresh(self, session: Session) -> None:
        """Let the host refresh *session*, in one go with whoever else is due."""
        if not self._due:
            self.later(0, self._deliver)
        self._due[session] = None

    def _deliver(self) -> None:
        due = [session for session in self._due if session.open and session.stale and not session.refreshing]
        self._due.clear()
        for host, sessions in by_host(due).items():
            for some in chunks(sessions, SESSIONS_PER_HOP):
                for session in some:
                    session.refreshing = True
                self._spawn(self._refresh(host, some))

    async def _refresh(self, host: Host, sessions: Sequence[Session]) -> None:
        try:
            if still_open := [session for session in sessions if session.open]:
                await host.refresh(still_open)
        finally:
            for session in sessions:
                session.refreshing = False
                if session.stale and session.group:
                    session.group.schedule()

    # The clock

    async def _keep(self) -> None:
        """Look after sessions, let go of groups without any; returns when nobody is left."""
        watch = Watch(self.settings, self.now, self._spawn)
        idle = 0.0
        while idle < LINGER:
            await asyncio.sleep(watch.tick)
            watch.look(self._sessions, self.now)
            self._let_go()
            idle = 0.0 if self._sessions or self.groups else idle + watch.tick
        self._stop()

    def _let_go(self) -> None:
        before = self.now - LINGER
        idle = [group for group in self.groups.values() if not group.sessions and group.idle_since < before]
        wanted = self._writer.keys if idle else ()
        for group in idle:
            if group.key not in wanted:
                self._discard(group)

    def _discard(self, group: Group) -> None:
        group.discard()
        self.bus.unsubscribe(group.key)
        del self.groups[group.key], self.replicas[group.key]

    # Start and stop

    def _start(self) -> None:
        if not self._running:
            if self._stopped:
                self._equip()
            self._running = [
                self._spawn(self._supervised(run)) for run in (self._writer.run, self._reader.run, self._keep)
            ]
            self.bus.subscribe(NOTICES, lambda: None)
        if self._writer.start():
            for session in self._sessions:  # after a clean stop the process goes on all the same
                self._writer.follow(session)

    async def _supervised(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                return await run()
            except Exception:
                logger.exception("Presence tracking stumbled, and goes on.")
                await asyncio.sleep(1)

    def drain(self) -> asyncio.Task[None]:
        """Begin a clean stop: whoever comes back elsewhere within DRAIN_GRACE has never been away.

        It retires the lease, not the process: what is tracked later goes under another one. The task may be awaited.
        """
        self._stay()
        return self._spawn(self._drain(self._writer.drain()))

    async def _drain(self, drain: Awaitable[None]) -> None:
        await drain
        await self.signals.flush()

    def drain_now(self) -> None:
        """The same when the process ends: blocking, from any thread, and without a word to the others.

        Raises ``PresenceUnavailable`` if the store has not heard of it.
        """
        self._writer.drain_now()

    def take_unheard(self) -> PresenceUnavailable | None:
        """Return, once, why the store did not hear of the last drain; None if it did."""
        return self._writer.take_unheard()

    def _stay(self) -> None:
        for waiting in self._leaving.values():
            for timer in waiting.values():
                timer.cancel()
        self._leaving.clear()

    async def aclose(self) -> None:
        """Leave with everybody at once, and end every task."""
        for session in tuple(self._sessions):
            session.end()
        self._stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.backend.aclose()

    def _stop(self) -> None:
        running, self._running, self._stopped = self._running, [], True
        self._stay()
        self._spawn(self._end(self._writer.leave(), running, self.bus, self.signals))
        for group in tuple(self.groups.values()):
            self._discard(group)

    @staticmethod
    async def _end(
        leave: Awaitable[None], running: Iterable[asyncio.Task[None]], bus: Bus, signals: Signalling
    ) -> None:
        await leave
        for task in running:
            task.cancel()
        await bus.aclose()
        await signals.aclose()

    # For all parts of a tracker

    def call(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call *function* on the loop: at once if this is it. From any thread."""
        try:
            here = asyncio.get_running_loop() is self.loop
        except RuntimeError:
            here = False
        if here:
            function(*args, **kwargs)
            return
        try:
            self.loop.call_soon_threadsafe(lambda: function(*args, **kwargs), context=Context())
        except RuntimeError:
            if not self.loop.is_closed():  # if it is, no session is left
                raise

    def later(self, delay: float, function: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call *function* in so many seconds, with nothing of the caller's context."""
        return self.loop.call_later(delay, function, *args, context=Context())

    def _spawn(self, run: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task with nothing of the caller's context (language, connections), held until it is done."""
        task = self.loop.create_task(run, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("Presence tracking failed.", exc_info=error)
