"""Processes, their store and the bus between them, played one step at a time against what is really so."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from djust_presence.state.outbox import Batch, Outbox, Wish
from djust_presence.state.records import Change, Join, Member, Renewal, Reply, Snapshot, Status, Step, Work
from djust_presence.state.replica import Replica
from djust_presence.state.store import JOB, Store

TTL, HOLD, GRACE = 3, 3, 2  # in ticks: a process that is not paused renews once in each
OPS_PER_BATCH, REFS_PER_CLAIM = 3, 2
LAG = 10 * TTL  # for how long a process's lease must have expired before somebody without a lease claims it

Action = tuple[str | int, ...]


class Broken(Exception):
    """An invariant does not hold."""


class Pieces(NamedTuple):
    """What is explored: the real classes, or a copy of them with one rule off."""

    store: type[Store] = Store
    replica: type[Replica] = Replica
    outbox: type[Outbox] = Outbox


@dataclass(eq=False, slots=True)
class Session:
    """A connection. *seen*: who is there, as it was told, and how much had been lost by then; None: told nothing yet."""

    key: str
    user: str | None
    ref: str
    meta: str = "0"
    seen: dict[str, int] | None = None
    joins: Counter[str] = field(default_factory=Counter)


@dataclass(eq=False, slots=True)
class Request:
    """A call of the store: on its way, or, once *answers* are complete, the reply on its way back."""

    verb: str
    what: Any
    awaited: bool = True
    executed: bool = False
    answers: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class Job:
    """Somebody present without a connection, who gives a sign of life once a tick."""

    lease: str
    beaten: float


class Process:
    """A small tracker: all that a process has to do with the pieces. It never looks at the store but by requests."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.outbox = world.pieces.outbox(world.fresh, self.shown)
        self.replicas: dict[str, Replica] = {}
        self.sessions: list[Session] = []
        self.news: dict[str, list[Step]] = {}  # per group, what its sessions are to be told next
        self.doubts: list[str] = []
        self.net: list[Request] = []
        self.inbox: list[Change] = []
        self.reaped: list[Change] = []  # to be published
        self.work: list[Work] = []
        self.farewell: list[Request] = []
        self.resting = True  # nobody has come since the start, or the last clean stop: no lease is wanted
        self.awake = False  # there may be something to write
        self.renewed = self.lost_at = world.now - 1
        self.may_reap = False
        self.state = ""  # "paused", or "crashed"

    def shown(self, key: str, user: str) -> Member | None:
        replica = self.replicas.get(key)
        return replica.member(user) if replica else None

    # Sessions

    def attach(self, session: Session) -> None:
        """From here on: what was gathered before is no news to a session that sees it already."""
        self.tell(session.key)
        self.sessions.append(session)
        if session.key not in self.replicas:
            self.replicas[session.key] = self.world.pieces.replica(HOLD)
        elif self.replicas[session.key].ready:
            self.welcome(session)
        self.resting, self.awake = False, True

    def welcome(self, session: Session) -> None:
        """Only who has a baseline is told to the others, so that their own join comes after it."""
        session.seen = dict.fromkeys(self.replicas[session.key].shown(), self.world.losses)
        self.world.welcomed(self, session)
        self.wish(session)

    def wish(self, session: Session) -> None:
        if session.user and session.seen is not None:
            self.outbox.want(session.ref, Wish(session.key, session.user, session.meta))
            self.awake = True

    def unwish(self, session: Session) -> None:
        self.outbox.drop(session.ref)
        self.awake = True

    def tell(self, key: str) -> None:
        """Let the sessions of a group know what has been gathered for them."""
        for step in self.news.pop(key, []):
            for session in self.sessions:
                if session.key == key and session.seen is not None:
                    self.world.told(self, session, step)

    def moved(self, key: str, steps: list[Step]) -> None:
        if steps:
            self.news.setdefault(key, []).extend(steps)

    # The writer: one call in flight

    @property
    def busy(self) -> bool:
        return any(one.awaited and one.verb != "snapshot" for one in self.net)

    @property
    def writes(self) -> bool:
        """Whether there may be something to write, a new lease included."""
        return self.awake and not self.busy and (self.outbox.lease is not None or not self.resting)

    def write(self) -> None:
        batch = self.outbox.next(OPS_PER_BATCH)
        self.awake = batch is not None
        if batch:
            self.net.append(Request("write", batch))

    def written(self, batch: Batch, replies: Sequence[Reply]) -> None:
        answer = self.outbox.answer(batch, replies)
        if not batch.ops and self.outbox.lease == batch.lease:
            self.renewed, self.may_reap = self.world.now, False
            self.restart_holds()
        if self.outbox.lease is None:
            self.lost_at, self.may_reap = self.world.now, False
        for change in answer.changes:
            self.publish(change)
        for key in answer.unsure:
            if key in self.replicas:
                self.replicas[key].ask()

    def renew(self) -> None:
        self.renewed = self.world.now
        self.net.append(Request("renew", (self.outbox.lease, self.outbox.seq, list(self.replicas))))

    def answered(self, lease: str, renewal: Renewal) -> None:
        self.may_reap = renewal.status is Status.OK and not renewal.late
        self.awake = True
        if renewal.status is Status.DEAD:
            self.outbox.lost(lease)
            self.lost_at = self.world.now
            return
        if renewal.late:
            self.restart_holds()
        self.outbox.renewed(renewal.places)
        for key, place in renewal.places.items():
            if key in self.replicas and self.replicas[key].compare(place, self.world.now):
                self.doubts.append(key)

    def restart_holds(self) -> None:
        for replica in self.replicas.values():
            replica.restart_hold(self.world.now)

    # News

    def publish(self, change: Change) -> None:
        """To everybody; what is our own, and already known, comes back to us as well."""
        self.take(change)
        self.world.publish(change)

    def take(self, change: Change) -> None:
        if replica := self.replicas.get(change.key):
            self.moved(change.key, replica.apply(change, self.world.now))

    def received(self, key: str, replica: Replica, snapshot: Snapshot) -> None:
        if self.replicas.get(key) is not replica:
            return
        first = not replica.ready
        steps = replica.receive(snapshot, self.world.now)
        if first:
            for session in self.sessions:
                if session.key == key:
                    self.welcome(session)
        else:
            self.moved(key, steps)

    # The end

    def drain(self, leaving: list[str]) -> None:
        """A clean stop: nothing more goes under the lease but its last batch, for those who cannot come back."""
        lease = self.outbox.lease
        self.give_up()
        batch = self.outbox.retire(leaving)
        if batch and batch.ops:
            self.farewell.append(Request("write", batch))
        self.farewell.append(Request("drain", lease))
        self.sessions.clear()
        self.resting, self.may_reap = True, False

    def give_up(self) -> None:
        """What is on its way may still happen; nobody waits for it."""
        for request in self.net:
            request.awaited = False
        self.net = [request for request in self.net if not request.executed]
        for replica in self.replicas.values():
            replica.failed()


class World:
    """Every ``do_`` is something that may happen next; :meth:`actions` lists what can.

    *budget* says how often faults and what people do may happen, once what *start* names has happened in peace. A world is *calm* when none of its faults is
    an excuse for telling somebody that a user left who is still here: a process that stood still or crashed, or a
    store that came back from an old copy.
    """

    def __init__(
        self,
        budget: Mapping[str, int],
        processes: str = "AB",
        keys: str = "g",
        users: str = "uv",
        pieces: Pieces = Pieces(),
        start: Sequence[Action] = (),
    ) -> None:
        self.budget: dict[str, int] = {}
        self._allowed: set[str] = set()
        self.calm = not {"pause", "restore", "crash"} & budget.keys()
        self.pieces = pieces
        self.keys, self.users = list(keys), list(users)
        self.now = 0.0
        self.store = pieces.store()
        self.saved: Store | None = None
        self._random = random.Random(1)
        self.processes = {name: self.process(name) for name in processes}
        self.jobs: dict[tuple[str, str], Job] = {}
        self.homeless: list[tuple[Session, float]] = []  # cut off by a clean stop, and not yet back
        # What is really so
        self.losses = 0  # how often the store lost groups
        self.tracked: set[str] = set()  # refs that the store took once
        self.moving: list[tuple[tuple[str, str], float]] = []  # who is between two processes, and until when at most
        self.steady: dict[tuple[str, str], bool] = {}  # who is here: from their first join on, and never gone since?
        self.met: set[tuple[str, str]] = set()
        self.lives: Counter[tuple[str, str]] = Counter()  # how often a user came to a group
        self.refs: dict[tuple[str, str], set[str]] = {}  # a user's, ever
        for action in start:
            self.do(action)
            self._rest()
        self.budget = dict(budget)

    def process(self, name: str) -> Process:
        return Process(self, name)

    def fresh(self) -> str:
        return f"{self._random.getrandbits(48):012x}"

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
                    if request.verb == "write" and len(request.what.ops) - len(request.answers) > 1:
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
            if "open" in self._allowed:
                yield from (("open", name, key, user) for user in self.users)
            if "meet" in self._allowed:
                yield "meet", name, key
            if "watch" in self._allowed:
                yield "watch", name, key
            if "unserve" in self._allowed and key in process.replicas:
                if not any(session.key == key for session in process.sessions):
                    yield "unserve", name, key
        for i, session in enumerate(process.sessions):
            if "close" in self._allowed:
                yield "close", name, i
            if "update" in self._allowed and session.user:
                yield "update", name, i
            if "relogin" in self._allowed:
                yield from (("relogin", name, i, user) for user in ("", *self.users) if user != session.user)
        yield from (("back", name, i) for i in range(len(self.homeless)))

    def _doings(self, name: str, process: Process) -> Iterator[Action]:
        if process.writes:
            yield "write", name
        if process.outbox.lease and process.renewed < self.now and not process.busy and not process.farewell:
            yield "renew", name
        if process.farewell and not process.busy:
            yield "farewell", name
        if process.may_reap and "claim" in self._allowed and not process.busy:
            yield "claim", name
        if process.work and not process.busy:
            yield "reap", name
        if process.reaped:
            yield "publish", name
        yield from (("reply", name, i) for i, request in enumerate(process.net) if request.executed)
        yield from (("deliver", name, i) for i in range(len(process.inbox)))
        yield from (("doubt", name, i) for i in range(len(process.doubts)))
        yield from (("ask", name, key) for key, replica in process.replicas.items() if replica.asks)
        yield from (("tell", name, key) for key in process.news)
        if "drain" in self._allowed and process.outbox.lease and not process.farewell:
            yield "drain", name
        if "pause" in self._allowed:
            yield "pause", name

    def _everywhere(self) -> Iterator[Action]:
        for key, user in self.jobs:
            if self.jobs[key, user].beaten < self.now:
                yield "beat", key, user
            for kind in ("finish", "abandon", "rejob"):
                if kind in self._allowed:
                    yield kind, key, user
        if "job" in self._allowed:
            yield from (("job", key, user) for key in self.keys for user in self.users if (key, user) not in self.jobs)
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
            and all(job.beaten == self.now for job in self.jobs.values())
            and not any(since + GRACE <= self.now + 1 for _, since in self.homeless)
        )

    def _done(self, process: Process) -> bool:
        if process.state:
            return True
        if process.busy or process.farewell or process.doubts:
            return False
        if any(not replica.ready for replica in process.replicas.values()):
            return False
        # Who begins anew does not do so in step with all the others, but within a renewal interval.
        late = process.lost_at < self.now
        if process.outbox.lease is None:
            return process.resting or not late
        return process.renewed == self.now and not (process.writes and late)

    # What happens

    def do(self, action: Action) -> None:
        kind, *where = action
        if kind in self.budget:
            self.budget[str(kind)] -= 1
        getattr(self, f"do_{kind}")(*where)
        self._check_store()
        self._look()

    def do_tick(self) -> None:
        self.now += 1

    def do_outage(self) -> None:
        """Nobody reached the store for longer than a lease lasts."""
        self.now += TTL + 1

    # People

    def do_open(self, name: str, key: str, user: str) -> None:
        self.processes[name].attach(Session(key, user, self.fresh()))

    def do_meet(self, name: str, key: str) -> None:
        self.do_open(name, key, self.fresh())

    def do_watch(self, name: str, key: str) -> None:
        self.processes[name].attach(Session(key, None, self.fresh()))

    def do_close(self, name: str, i: int) -> None:
        process = self.processes[name]
        process.unwish(process.sessions.pop(i))

    def do_update(self, name: str, i: int) -> None:
        session = self.processes[name].sessions[i]
        session.meta = str(int(session.meta) + 1)
        self.processes[name].wish(session)

    def do_relogin(self, name: str, i: int, user: str) -> None:
        """Be somebody else, or nobody, from here on: under another ref."""
        process = self.processes[name]
        session = process.sessions[i]
        process.unwish(session)
        session.user, session.ref = user or None, self.fresh()
        process.wish(session)

    def do_unserve(self, name: str, key: str) -> None:
        process = self.processes[name]
        del process.replicas[key]
        process.news.pop(key, None)
        process.doubts = [one for one in process.doubts if one != key]

    # A process

    def do_write(self, name: str) -> None:
        self.processes[name].write()

    def do_renew(self, name: str) -> None:
        self.processes[name].renew()

    def do_farewell(self, name: str) -> None:
        process = self.processes[name]
        process.net.append(process.farewell.pop(0))

    def do_claim(self, name: str) -> None:
        process = self.processes[name]
        process.net.append(Request("claim", process.outbox.lease))

    def do_reap(self, name: str) -> None:
        process = self.processes[name]
        process.net.append(Request("reap", (process.work.pop(0), self.fresh())))

    def do_publish(self, name: str) -> None:
        process = self.processes[name]
        process.publish(process.reaped.pop(0))

    def do_deliver(self, name: str, i: int) -> None:
        process = self.processes[name]
        process.take(process.inbox.pop(i))

    def do_doubt(self, name: str, i: int) -> None:
        process = self.processes[name]
        process.replicas[process.doubts.pop(i)].doubt()

    def do_ask(self, name: str, key: str) -> None:
        process = self.processes[name]
        process.replicas[key].asked()
        process.net.append(Request("snapshot", (key, process.replicas[key])))

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
        """The same when nobody waits for it any more."""
        self.do_exec(name, i)
        self.processes[name].net.pop(i)

    def do_part(self, name: str, i: int) -> None:
        """A batch is a pipeline: something else may come between its writes."""
        self._execute(self.processes[name].net[i])

    def _execute(self, request: Request) -> None:
        request.executed = True
        match request.verb:
            case "write":
                batch = request.what
                if batch.ops:
                    op = batch.ops[len(request.answers)]
                    (reply,) = self._verb("write", batch.lease, [op], self.now)
                    request.answers.append(reply)
                    if isinstance(op, Join) and reply.status is Status.OK:
                        self.tracked.add(op.ref)
                    request.executed = len(request.answers) == len(batch.ops)
                else:
                    self._verb("open", batch.lease, TTL, self.now)
            case "renew":
                request.answers.append(self._verb("renew", *request.what, self.now))
            case "drain":
                self._verb("drain", request.what, GRACE, self.now)
            case "claim":
                request.answers.append(self._verb("claim", request.what, REFS_PER_CLAIM, LAG, self.now))
            case "reap":
                work, tag = request.what
                request.answers.append(self._verb("reap", *work, tag))
            case "snapshot":
                request.answers.append(self._verb("snapshot", request.what[0]))

    def do_reply(self, name: str, i: int) -> None:
        process = self.processes[name]
        request = process.net.pop(i)
        match request.verb:
            case "write":
                process.written(request.what, request.answers)
            case "renew":
                process.answered(request.what[0], request.answers[0])
            case "claim":
                process.work += request.answers[0] or []
            case "reap":
                process.reaped += [change for change in request.answers if change]
            case "snapshot":
                process.received(*request.what, request.answers[0])

    def do_lose(self, name: str, i: int) -> None:
        """The reply gets lost. Writes, renewals and the drain are repeated as they were."""
        process = self.processes[name]
        self._repeat(process, process.net.pop(i))

    def do_timeout(self, name: str, i: int) -> None:
        """The caller does not wait any longer, while the request is still on its way."""
        process = self.processes[name]
        request = process.net[i]
        request.awaited = False
        self._repeat(process, request)
        if request.verb == "claim":
            process.net.remove(request)  # executed after an outage, before the others renew, it would bury them

    def _repeat(self, process: Process, request: Request) -> None:
        if request.verb in ("write", "renew", "drain"):
            process.net.append(Request(request.verb, request.what))
        elif request.verb == "snapshot":
            request.what[1].failed()

    def _verb(self, verb: str, *args: Any) -> Any:
        """One atomic step of the store; its Changes must tell exactly what it did."""
        before = {key: (group.place, dict(group.users)) for key, group in self.store.groups.items()}
        answer = getattr(self.store, verb)(*args)
        changes = [answer] if isinstance(answer, Change) else []
        if verb == "write":
            changes = [reply.change for reply in answer if reply.change]
        told = {change.key: change for change in changes}
        for key in {*before, *self.store.groups}:
            place, was = before.get(key, (None, {}))
            now = self.store.snapshot(key).members
            records = {user: now.get(user) for user in {*was, *now} if was.get(user) != now.get(user)}
            change = told.get(key)
            if bool(change) != bool(records) or change and dict(change.records) != records:
                raise Broken(f"I3 {verb} turned {was} into {now}, and tells {change}")
            for user in records.keys() - was.keys():
                self.lives[key, user] += 1
            if change and change.count != len(now):
                raise Broken(f"I1 {change} counts {change.count} of {now}")
            if change:
                follows = place or change.place._replace(version=0, tag="")
                if change.prev != follows.tag or change.place[:2] != (follows.epoch, follows.version + 1):
                    raise Broken(f"I3 {change} does not follow {place}")
                if key in self.store.groups and self.store.groups[key].place != change.place:
                    raise Broken(f"I3 {change} led to {self.store.groups[key].place}")
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
        process = self.processes[name]
        process.give_up()
        self.processes[name] = self.process(name)
        self.processes[name].net = process.net
        self.processes[name].state = "crashed"

    def do_boot(self, name: str) -> None:
        self.processes[name].state = ""

    def do_drain(self, name: str) -> None:
        """A clean stop. Who comes back has another connection then; a user made up for one connection does not."""
        process = self.processes[name]
        leaving = [session.ref for session in process.sessions if session.user not in self.users]
        for session in process.sessions:
            if session.user in self.users:
                self.homeless.append((session, self.now))
                if session.ref in self.tracked:
                    self.moving.append(((session.key, str(session.user)), self.now + GRACE - 1))
        process.drain(leaving)

    def do_back(self, name: str, i: int) -> None:
        session, _ = self.homeless.pop(i)
        self.processes[name].attach(Session(session.key, session.user, self.fresh(), session.meta))

    def do_flush(self) -> None:
        self.losses += 1
        self.store = self.pieces.store()

    def do_save(self) -> None:
        self.saved = copy.deepcopy(self.store)

    def do_restore(self) -> None:
        self.store = copy.deepcopy(self.saved) or self.store

    def do_evict(self, key: str) -> None:
        """The store let go of a group, not of the leases."""
        self.losses += 1
        for ref, row in self.store.groups.pop(key).rows.items():
            del self.store.index[row.lease][key, ref]
            if not self.store.index[row.lease]:
                del self.store.index[row.lease]

    # Jobs, and others without a lease

    def do_job(self, key: str, user: str) -> None:
        lease = JOB + self.fresh()
        self.jobs[key, user] = Job(lease, self.now)
        self._verb("open", lease, TTL, self.now)
        op = Join(1, key, f"job of {user}", user, "0", self.fresh(), self.fresh())
        (reply,) = self._verb("write", lease, [op], self.now)
        if reply.change:
            self.publish(reply.change)

    def do_rejob(self, key: str, user: str) -> None:
        self.do_job(key, user)

    def do_beat(self, key: str, user: str) -> None:
        if not self._verb("beat", key, f"job of {user}", self.now):
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
        for work in self._verb("claim", None, REFS_PER_CLAIM, LAG, self.now):
            if change := self._verb("reap", *work, self.fresh()):
                self.publish(change)

    # What must hold

    def _check_store(self) -> None:
        store = self.store
        hanging = {}
        for key, group in store.groups.items():
            counts = Counter(row.user for row in group.rows.values())
            if counts != {user: member.connections for user, member in group.users.items()}:
                raise Broken(f"I1 {key} counts {group.users}, its rows are {group.rows}")
            if not group.rows:
                raise Broken(f"I8 {key} is empty and still there")
            for ref, row in group.rows.items():
                hanging[row.lease, key, ref] = True
                if row.lease not in store.leases and row.lease not in store.dead:
                    raise Broken(f"I2 {ref} hangs on nothing")
        indexed = [(lease, *where) for lease, refs in store.index.items() for where in refs]
        if sorted(indexed) != sorted(hanging):
            raise Broken(f"I2 the index has {indexed}, the rows are {list(hanging)}")

    def _look(self) -> None:
        """See who is really here, and whether they have been so all the time since they came first."""
        here = {
            (session.key, str(session.user))
            for process in self.processes.values()
            for session in process.sessions
            if session.ref in self.tracked
        }
        here |= self.jobs.keys() | {who for who, until in self.moving if until >= self.now}
        for who in here | self.steady.keys():
            self.steady[who] = who in here and self.steady.get(who, who not in self.met)
        self.met = set(self.lives)
        for key, group in self.store.groups.items():
            for ref, row in group.rows.items():
                self.refs.setdefault((key, row.user), set()).add(ref)

    def welcomed(self, process: Process, session: Session) -> None:
        """A session has got its baseline, in which its own coming must not be."""
        if session.user in (session.seen or ()) and self.refs[session.key, session.user] == {session.ref}:
            raise Broken(f"I4 a session of {process.name} will not be told of its own coming")

    def told(self, process: Process, session: Session, step: Step) -> None:
        """A session gets to know of a transition."""
        seen, user, who = session.seen, step.user, (session.key, step.user)
        assert seen is not None
        if (step.before is None) == (user in seen):
            raise Broken(f"I4 a session of {process.name} was told {step}, and had seen {sorted(seen)}")
        if step.before is None:
            session.joins[user] += 1
            seen[user] = self.losses
            if self.calm and session.joins[user] > self.lives[who]:
                raise Broken(
                    f"I13 a session of {process.name} was told that {user} came {session.joins[user]} times, "
                    f"which they did {self.lives[who]} times"
                )
        elif step.after is None:
            since = seen.pop(user)
            # Who was first seen after the store had lost things may have other tabs that are not back yet.
            if self.calm and self.steady.get(who) and (since < self.losses or not since):
                raise Broken(f"I12 a session of {process.name} was told that {user} left, who is still here")

    # The end of all faults

    def settle(self, rng: random.Random | None = None, rounds: int = TTL + HOLD + 4) -> None:
        """Let everything come to rest, for as many ticks, and compare."""
        self.budget = {"tick": 0}
        for name, process in self.processes.items():
            process.state = ""
            self.do_watch(name, self.keys[0])
        for _ in range(rounds):
            self._rest(rng)
            for name, process in self.processes.items():
                for _ in range(8):
                    if process.may_reap and not process.state:
                        self.do(("claim", name))
                        self._rest(rng)
            self.do_tick()
        self._rest(rng)
        self._check_end()

    def _rest(self, rng: random.Random | None = None) -> None:
        for _ in range(10_000):
            actions = self.actions()
            if not actions:
                return
            self.do(rng.choice(actions) if rng else actions[0])
        raise Broken("END no rest is reached")

    def _check_end(self) -> None:
        real = {
            (key, ref): row.user for key, group in self.store.groups.items() for ref, row in group.rows.items()
        }
        open_ = {
            (session.key, session.ref): session.user
            for process in self.processes.values()
            for session in process.sessions
            if session.user
        } | {(key, f"job of {user}"): user for key, user in self.jobs}
        if real != open_:
            raise Broken(f"I11 the store has {real}, really here are {open_}")
        if self.store.dead or self.store.index.keys() - self.store.leases.keys():
            raise Broken(f"I2 left over: {self.store.dead} {self.store.index}")
        for process in self.processes.values():
            for key, replica in process.replicas.items():
                members = self.store.snapshot(key).members
                if replica.shown() != members or replica.count != len(members):
                    raise Broken(f"I11 {process.name} shows {replica.shown()}, the store has {members}")
            for session in process.sessions:
                members = self.store.snapshot(session.key).members
                if set(session.seen or ()) != members.keys():
                    raise Broken(f"I4 a session of {process.name} has seen {session.seen}, there are {members}")
                if session.user and self.refs[session.key, session.user] == {session.ref}:
                    if members[session.user].meta != session.meta:
                        raise Broken(f"I11 {session.user} wishes {session.meta}, and has {members[session.user]}")
