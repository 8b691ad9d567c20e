"""Processes, their store and the bus between them, one step at a time, checked against the true state."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from djust_presence.state.keeper import Call
from djust_presence.state.records import Change, Join, Status
from djust_presence.state.store import JOB, Store

from .pieces import REAL, Pieces, carry_out
from .process import Process
from .sessions import Session
from .truth import Broken, Truth
from .words import GRACE, HOLD, LAG, REFS_PER_CLAIM, TTL, Request

Action = tuple[str | int, ...]


@dataclass(slots=True)
class Job:
    """Somebody present without a connection, for as long as there is a sign of life once in TTL."""

    lease: str
    beaten: float


class World:
    """Every ``do_`` is something that may happen next; :meth:`actions` lists what can.

    *budget* says how often faults, and what people do, may happen once *start* has happened in peace.
    """

    def __init__(
        self,
        budget: Mapping[str, int],
        processes: str = "AB",
        keys: str = "g",
        users: str = "uv",
        pieces: Pieces = REAL,
        start: Sequence[Action] = (),
    ) -> None:
        self.budget: dict[str, int] = {}
        self._allowed: set[str] = set()
        self.pieces = pieces
        self._session: type[Session] = type("Page", (Session, pieces.viewer), {})
        self.keys, self.users = list(keys), list(users)
        self.now = 0.0
        self.store = pieces.store()
        self.saved: Store | None = None
        self._random, self._chance = random.Random(1), random.Random(2)
        self._metas = count(1)
        self._micros = count()
        self.processes = {name: self.process(name) for name in processes}
        self.jobs: dict[tuple[str, str], Job] = {}
        self.homeless: list[tuple[Session, int]] = []  # cut off by a clean stop, and not yet back
        losses, floods = {"lose", "timeout"} & budget.keys(), {"flush", "evict", "restore"} & budget.keys()
        self.truth = Truth(
            calm=not {"pause", "restore", "crash"} & budget.keys(), exact=not (losses and floods)
        )
        for action in start:
            self.do(action)
            self._rest()
        self.budget = dict(budget)

    def process(self, name: str) -> Process:
        return Process(self, name)

    def fresh(self) -> str:
        return f"{self._random.getrandbits(48):012x}"

    def chance(self) -> float:
        return self._chance.choice((0.0, 0.5, 1.0))

    def clock(self) -> float:
        """The store's: no two things happen at the same time."""
        return self.now + next(self._micros) / 1e6

    @property
    def tick(self) -> int:
        return int(self.now)

    # What may happen

    def actions(self) -> list[Action]:
        self._allowed = {kind for kind, left in self.budget.items() if left > 0}
        return [*self._here(), *self._everywhere()]

    def _here(self) -> Iterator[Action]:
        for name, process in self.processes.items():
            if not process.state:
                yield from self._people(name, process)
                yield from self._doings(name, process)
            elif process.state == "paused":
                yield "wake", name
            elif "boot" in self._allowed:
                yield "boot", name
            for i, request in enumerate(process.net):
                if not request.executed:
                    yield "exec" if request.awaited else "late", name, i
                    if request.call.batch and len(request.call.batch.ops) - len(request.answers) > 1:
                        yield "part", name, i
                    if request.awaited and "timeout" in self._allowed:
                        yield "timeout", name, i
                elif "lose" in self._allowed:
                    yield "lose", name, i
            for i in range(len(process.inbox)):
                for kind in ("drop", "dup"):
                    if kind in self._allowed:
                        yield kind, name, i
            if "crash" in self._allowed and process.state != "crashed":
                yield "crash", name

    def _people(self, name: str, process: Process) -> Iterator[Action]:
        for key in self.keys:
            for kind in ("open", "mount"):
                if kind in self._allowed:
                    yield from ((kind, name, key, user) for user in self.users)
            if "peek" in self._allowed:
                yield "peek", name, key
            if "meet" in self._allowed:
                yield "meet", name, key
            if "watch" in self._allowed:
                yield "watch", name, key
            if "unserve" in self._allowed and key in process.replicas:
                wanted = {wish.key for wish in process.outbox.wanted.values()}
                if key not in wanted | {one.key for one in (*process.sessions, *process.mounting)}:
                    yield "unserve", name, key
        for i, session in enumerate(process.sessions):
            for kind in ("close", "leave", "glance"):
                if kind in self._allowed:
                    yield kind, name, i
            if "switch" in self._allowed:
                yield from (("switch", name, i, key) for key in self.keys if key != session.key)
            if "update" in self._allowed and session.user:
                yield "update", name, i
            if "relogin" in self._allowed:
                yield from (("relogin", name, i, user) for user in ("", *self.users) if user != session.user)
        yield from (("back", name, i) for i in range(len(self.homeless)))
        for i in range(len(process.mounting)):
            yield "live", name, i
            if "read" in self._allowed:
                yield "read", name, i
            if "refuse" in self._allowed:
                yield "refuse", name, i

    def _doings(self, name: str, process: Process) -> Iterator[Action]:
        if process.due < self.tick + 1:
            yield "turn", name
        yield from (("reply", name, i) for i, request in enumerate(process.net) if request.executed)
        yield from (("deliver", name, i) for i in range(len(process.inbox)))
        yield from (("ask", name, key) for key, replica in process.replicas.items() if replica.asks)
        yield from (("tell", name, key) for key in process.audiences if process.untold(key))
        if "drain" in self._allowed and process.outbox.lease:
            yield "drain", name
        if "pause" in self._allowed:
            yield "pause", name

    def _everywhere(self) -> Iterator[Action]:
        for key, user in self.jobs:
            if self.jobs[key, user].beaten < self.tick:
                yield "beat", key, user
            for kind in ("finish", "abandon", "rejob"):
                if kind in self._allowed:
                    yield kind, key, user
        if "job" in self._allowed:
            yield from (
                ("job", key, user) for key in self.keys for user in self.users if (key, user) not in self.jobs
            )
        for kind in ("flush", "save", "outage", "sweep"):
            if kind in self._allowed:
                yield (kind,)
        if "evict" in self._allowed:
            yield from (("evict", key) for key in self.store.groups)
        if "restore" in self._allowed and self.saved:
            yield ("restore",)
        if "tick" in self._allowed and self._on_time():
            yield ("tick",)

    def _on_time(self) -> bool:
        """The store answers within a tick, and what is due is done. The bus may take as long as it likes."""
        return (
            all(self._done(process) for process in self.processes.values())
            and all(job.beaten >= self.tick for job in self.jobs.values())
            and not any(since + GRACE <= self.tick + 1 for _, since in self.homeless)
        )

    def _done(self, process: Process) -> bool:
        if process.state:
            return True
        ready = all(replica.ready for replica in process.replicas.values())
        return ready and not process.waiting and process.due >= self.tick + 1

    # What happens

    def do(self, action: Action) -> None:
        kind, *where = action
        if kind in self.budget:
            self.budget[str(kind)] -= 1
        getattr(self, f"do_{kind}")(*where)
        self.truth.check(self.store)
        self.truth.look(self)
        self.truth.pages(self)

    def do_tick(self) -> None:
        self.now = self.tick + 1.0

    def do_outage(self) -> None:
        """Nobody reached the store for longer than a lease lasts."""
        self.now += TTL + 1

    # People

    def page(self, name: str, key: str, user: str | None, meta: str = "0") -> Session:
        session = self._session(key, user, meta, self.truth.missed)
        self.processes[name].wish(session)
        return session

    def do_open(self, name: str, key: str, user: str) -> None:
        """Be present without a look at who else is."""
        self.processes[name].attach(self.page(name, key, user))

    def do_meet(self, name: str, key: str) -> None:
        self.do_open(name, key, self.fresh())

    def do_watch(self, name: str, key: str) -> None:
        self.processes[name].attach(self.page(name, key, None))

    def do_mount(self, name: str, key: str, user: str) -> None:
        self.processes[name].look(self.page(name, key, user))

    def do_peek(self, name: str, key: str) -> None:
        """Mount a page that only watches."""
        self.processes[name].look(self.page(name, key, None))

    def do_read(self, name: str, i: int) -> None:
        """A mount renders its page: it has waited for long enough, or its group is known."""
        self.processes[name].mounting[i].render()

    def do_live(self, name: str, i: int) -> None:
        self.processes[name].attach(self.processes[name].mounting.pop(i))

    def do_refuse(self, name: str, i: int) -> None:
        self.processes[name].mounting.pop(i)

    def do_glance(self, name: str, i: int) -> None:
        """A handler renders its page."""
        self.processes[name].sessions[i].render()

    def do_close(self, name: str, i: int) -> None:
        self._close(name, i, 0)

    def do_leave(self, name: str, i: int) -> None:
        """Be gone, and perhaps back within the grace."""
        self._close(name, i, GRACE)

    def _close(self, name: str, i: int, grace: float) -> None:
        process, session = self.processes[name], self.processes[name].sessions[i]
        process.detach(session)
        process.submissions.end(session, grace, self.now)
        process.awake = True
        if grace and session.user in self.users and session.ref in self.truth.tracked:
            self.truth.away[session.ref] = (session.key, str(session.user)), self.now + grace

    def do_switch(self, name: str, i: int, key: str) -> None:
        """Be in another group from here on."""
        process, session = self.processes[name], self.processes[name].sessions[i]
        process.audiences[session.key].remove(session)
        process.serve(key)
        session.key, session.told = key, None
        session.joins.clear()
        process.wish(session)
        process.audiences[key].add(session)
        process.welcome(session)
        session.render()
        process.awake = True

    def do_update(self, name: str, i: int) -> None:
        self.processes[name].sessions[i].meta = str(next(self._metas))
        self._changed(name, i)

    def do_relogin(self, name: str, i: int, user: str) -> None:
        """Become another user, or none, under another ref."""
        self.processes[name].sessions[i].user = user or None
        self._changed(name, i)

    def _changed(self, name: str, i: int) -> None:
        process = self.processes[name]
        process.wish(process.sessions[i])
        process.submissions.submit(process.sessions[i])
        process.sessions[i].render()
        process.awake = True

    def do_unserve(self, name: str, key: str) -> None:
        process = self.processes[name]
        del process.replicas[key], process.audiences[key]

    # A process

    def do_turn(self, name: str) -> None:
        """The Keeper is asked what is next, once the time has come."""
        process = self.processes[name]
        self.now = max(self.now, process.due)
        process.turn()
        if process.due <= self.now and not process.awake:
            raise Broken(f"END {name} is asked what is next over and over")

    def do_deliver(self, name: str, i: int) -> None:
        process = self.processes[name]
        process.take(process.inbox.pop(i))

    def do_ask(self, name: str, key: str) -> None:
        process = self.processes[name]
        process.replicas[key].asked()
        process.net.append(Request(Call("snapshot", (key,)), process.replicas[key]))

    def do_tell(self, name: str, key: str) -> None:
        self.processes[name].tell(key)

    def publish(self, change: Change) -> None:
        for process in self.processes.values():
            if change.key in process.replicas and process.state != "crashed":
                process.inbox.append(change)

    # Requests

    def do_exec(self, name: str, i: int) -> None:
        """The store carries a request out."""
        request = self.processes[name].net[i]
        while not request.executed:
            self._execute(request)

    def do_late(self, name: str, i: int) -> None:
        """The store carries out a request whose caller no longer waits."""
        self.do_exec(name, i)
        self.processes[name].net.pop(i)

    def do_part(self, name: str, i: int) -> None:
        """A batch is a pipeline: something else may come between its writes."""
        self._execute(self.processes[name].net[i])

    def _execute(self, request: Request) -> None:
        verb, args, batch = request.call
        if batch and batch.ops:
            op = batch.ops[len(request.answers)]
            (reply,) = self._verb("write", batch.lease, [op])
            request.answers.append(reply)
            if isinstance(op, Join) and reply.status is Status.OK:
                self.truth.tracked.add(op.ref)
                self.truth.said(op.ref, op.meta)
            request.executed = len(request.answers) == len(batch.ops)
            return
        if verb == "claim":
            args = (args[0], REFS_PER_CLAIM, *args[2:])
        request.answers.append(self._verb(verb, *args))
        request.executed = True

    def do_reply(self, name: str, i: int) -> None:
        process = self.processes[name]
        process.answered(process.net.pop(i))

    def do_lose(self, name: str, i: int) -> None:
        """The reply gets lost."""
        process = self.processes[name]
        process.failed(process.net.pop(i))

    def do_timeout(self, name: str, i: int) -> None:
        """The caller stops waiting while the request is still on its way."""
        process = self.processes[name]
        process.net[i].awaited = False
        process.failed(process.net[i])

    def _verb(self, verb: str, *args: Any) -> Any:
        """One atomic step of the store; its Changes must tell exactly what it did."""
        before = {key: (group.place, dict(group.users)) for key, group in self.store.groups.items()}
        answer = carry_out(self.store, verb, args, self.clock())
        changes = [answer] if isinstance(answer, Change) else []
        if verb == "write":
            changes = [reply.change for reply in answer if reply.change]
        self.truth.step(verb, before, self.store, changes)
        return answer

    # Faults

    def do_drop(self, name: str, i: int) -> None:
        self.processes[name].inbox.pop(i)

    def do_dup(self, name: str, i: int) -> None:
        self.processes[name].inbox.append(self.processes[name].inbox[i])

    def do_pause(self, name: str) -> None:
        self.processes[name].state = "paused"

    def do_wake(self, name: str) -> None:
        self.processes[name].state = ""

    def do_crash(self, name: str) -> None:
        """Its requests may still be on their way."""
        left = [request for request in self.processes[name].net if not request.executed]
        for request in left:
            request.awaited = False
        self.processes[name] = self.process(name)
        self.processes[name].net = left
        self.processes[name].state = "crashed"

    def do_boot(self, name: str) -> None:
        self.processes[name].state = ""

    def do_drain(self, name: str) -> None:
        """A clean stop. Who comes back has another connection then; a user made up for one connection does not."""
        process = self.processes[name]
        lease = self.store.leases.get(process.outbox.lease or "")
        expired = lease is not None and lease.expiry < self.tick + 1  # nobody has to wait for them
        for session in tuple(process.sessions):
            process.detach(session)
            if session.user in self.users:
                self.homeless.append((session, self.tick))
                if session.ref in self.truth.tracked and not expired:
                    self.truth.away[session.ref] = (session.key, str(session.user)), self.tick + GRACE
        process.keeper.retire(process.submissions.retire(), GRACE)
        process.awake = True

    def do_back(self, name: str, i: int) -> None:
        session, _ = self.homeless.pop(i)
        self.processes[name].attach(self.page(name, session.key, session.user, session.meta))

    def do_flush(self) -> None:
        self.store = self.pieces.store()

    def do_save(self) -> None:
        self.saved = copy.deepcopy(self.store)

    def do_restore(self) -> None:
        """The store starts again from an old copy. What was late reached it by connections that are gone."""
        self.store = copy.deepcopy(self.saved) or self.store
        for process in self.processes.values():
            process.net = [request for request in process.net if request.awaited]

    def do_evict(self, key: str) -> None:
        """The store let go of a group, not of the leases."""
        for ref, row in self.store.groups.pop(key).rows.items():
            del self.store.index[row.lease][key, ref]
            if not self.store.index[row.lease]:
                del self.store.index[row.lease]

    # Jobs, and others without a lease

    def do_job(self, key: str, user: str) -> None:
        lease = JOB + self.fresh()
        self.jobs[key, user] = Job(lease, self.now)
        self._verb("open", lease, TTL, 0, 0)
        op = Join(1, key, f"job of {user}", user, "0", self.fresh(), self.fresh())
        (reply,) = self._verb("write", lease, [op])
        if reply.change:
            self.publish(reply.change)

    def do_rejob(self, key: str, user: str) -> None:
        self.do_job(key, user)

    def do_beat(self, key: str, user: str) -> None:
        if not self._verb("beat", key, f"job of {user}"):
            self.do_job(key, user)
        self.jobs[key, user].beaten = self.now

    def do_finish(self, key: str, user: str) -> None:
        del self.jobs[key, user]
        if change := self._verb("release", key, f"job of {user}", self.fresh()):
            self.publish(change)

    def do_abandon(self, key: str, user: str) -> None:
        """The job died without a word."""
        del self.jobs[key, user]

    def do_sweep(self) -> None:
        for work in self._verb("claim", None, REFS_PER_CLAIM, LAG):
            if change := self._verb("reap", *work, self.fresh()):
                self.publish(change)

    # The end of all faults

    def settle(self, rng: random.Random | None = None, rounds: int = HOLD + 3) -> None:
        """Let everything come to rest, within two renewals and a hold that a third one ends."""
        self.budget = {"tick": 0}
        for name, process in self.processes.items():
            process.state = ""
            self.do_watch(name, self.keys[0])
        for _ in range(rounds):
            self._rest(rng)
            self.do_tick()
        self._rest(rng)
        self.truth.end(self)

    def _rest(self, rng: random.Random | None = None) -> None:
        for _ in range(10_000):
            actions = self.actions()
            if not actions:
                return
            self.do(rng.choice(actions) if rng else actions[0])
        raise Broken("END no rest is reached")
