"""A process, with just as much of a tracker as the pieces need: what the real tracker has to do, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from djust_presence.state.outbox import Batch, Wish
from djust_presence.state.records import Change, Member, Renewal, Snapshot, Status, Step, Work
from djust_presence.state.replica import Replica

if TYPE_CHECKING:
    from .world import World

OPS_PER_BATCH = 3
TTL, HOLD = 3, 3  # in ticks: a process that is not paused renews once in each


@dataclass(eq=False, slots=True)
class Session:
    """A connection. *seen*: who is there, as it was told, and whether they had been missed before; None: not yet told."""

    key: str
    user: str | None
    ref: str
    meta: str = "0"
    seen: dict[str, bool] | None = None
    joins: Counter[str] = field(default_factory=Counter)


@dataclass(eq=False, slots=True)
class Request:
    """A call of the store: on its way, or, once *answers* are complete, the reply on its way back."""

    verb: str
    what: Any
    awaited: bool = True
    executed: bool = False
    answers: list[Any] = field(default_factory=list)


class Process:
    """Its sessions, its writer, its replicas. It knows of the store only by the replies to its requests."""

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
        self.answered_at = self.renewed  # when the last renewal was sent that was answered
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
        missed = self.world.truth.missed
        session.seen = {user: (session.key, user) in missed for user in self.replicas[session.key].shown()}
        self.world.truth.welcomed(self.name, session)
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
                    self.world.truth.told(self.name, session, step)

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
            if not batch.ops:
                self.renewed = self.world.now

    def written(self, batch: Batch, replies: Sequence[Any]) -> None:
        answer = self.outbox.answer(batch, replies) if batch.ops else self.outbox.answer(batch, [], *replies)
        if not batch.ops and self.outbox.lease == batch.lease:
            self.answered_at, self.renewed = self.renewed, self.world.now
            self.may_reap = False
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
        self.awake = True
        if renewal.status is Status.DEAD:
            self.outbox.lost(lease)
            self.lost_at, self.may_reap = self.world.now, False
            return
        late = renewal.late or self.overdue()
        self.answered_at, self.may_reap = self.renewed, not late
        if late:
            self.restart_holds()
        self.outbox.renewed(renewal.places)
        for key, place in renewal.places.items():
            if key in self.replicas and self.replicas[key].compare(place, self.world.now):
                self.doubts.append(key)

    def overdue(self) -> bool:
        """Whether the lease has expired meanwhile, whatever the store says: an earlier copy of this renewal, whose
        answer got lost, may have been the late one."""
        return self.world.now - self.answered_at >= TTL

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
