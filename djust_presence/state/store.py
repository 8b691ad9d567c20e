"""The leases and groups of a store, each verb one atomic step."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from .order import Order, Spot
from .records import Change, Join, Leave, Member, Op, Place, Renewal, Reply, Snapshot, Status, Work

__all__ = ["JOB", "Store"]

NEVER = float("-inf")
TICK = 1e-6  # seconds: the precision of the times that a store keeps
JOB = "job:"  # the prefix of leases that a job's heartbeat extends, not a process's renewal


@dataclass(slots=True)
class Lease:
    """The right of a process or job to have refs listed. *seq* is the number of the last write under it.

    *unheard* is the longest time between two calls of its owner while all is well, and *pause* the shortest silence of
    all owners in which the lease of a live one may expire.
    """

    expiry: float
    ttl: float
    unheard: float
    pause: float
    seq: int = 0
    draining: bool = False


class Row(NamedTuple):
    """One connection in a group. *said* is when its meta was said, in epoch seconds."""

    lease: str
    user: str
    meta: str
    said: float


@dataclass(slots=True)
class StoredGroup:
    """The rows of a presence key, the records of its users, their order, and each user's refs by when their meta was said."""

    place: Place
    rows: dict[str, Row] = field(default_factory=dict)
    users: dict[str, Member] = field(default_factory=dict)
    order: Order = field(default_factory=Order)
    refs: dict[str, list[tuple[float, str]]] = field(default_factory=dict)

    def add(self, ref: str, row: Row, joined_at: float) -> None:
        """List *ref*, for the first time or with another row of the same user."""
        self._take(ref)
        self.rows[ref] = row
        insort(self.refs.setdefault(row.user, []), (row.said, ref))
        self._show(row.user, joined_at)

    def remove(self, ref: str) -> None:
        """Remove *ref*, and its user with the last one."""
        if row := self._take(ref):
            self._show(row.user, self.users[row.user].joined_at)

    def _take(self, ref: str) -> Row | None:
        if row := self.rows.pop(ref, None):
            refs = self.refs[row.user]
            del refs[bisect_left(refs, (row.said, ref))]
        return row

    def _show(self, user: str, joined_at: float) -> None:
        """Set the user's record, with the meta that was said last by one of their connections."""
        was, refs = self.users.get(user), self.refs[user]
        self.order.move(user, was and was.joined_at, joined_at if refs else None)
        if refs:
            self.users[user] = Member(len(refs), joined_at, self.rows[refs[-1][1]].meta)
        else:
            del self.refs[user], self.users[user]


class Store:
    """Leases, groups, and the verbs on them; *now* (epoch seconds, never running backwards) is an argument.

    Each verb means exactly what ``djust_presence.backends.base.Backend`` says of it.
    """

    def __init__(self) -> None:
        self.birth = ""
        self.leases: dict[str, Lease] = {}
        self.dead: dict[str, None] = {}
        self.index: dict[str, dict[tuple[str, str], None]] = {}
        self.groups: dict[str, StoredGroup] = {}
        self.heard = NEVER  # when a lease with *unheard* was opened or renewed last
        self.heard_since = NEVER  # the beginning of the time without a pause up to then

    # Leases

    def open(self, lease: str, ttl: float, now: float, unheard: float = 0, pause: float = 0) -> str:
        self.birth = self.birth or lease
        if lease not in self.dead:
            self._hear(self.leases.setdefault(lease, Lease(now + ttl, ttl, unheard, pause)), now)
        return self.birth

    def _hear(self, held: Lease, now: float) -> None:
        if held.unheard:
            if now - self.heard > held.pause:
                self.heard_since = now
            self.heard = now

    def renew(self, lease: str, seq: int, keys: Iterable[str], now: float, ahead: int = 0) -> Renewal:
        held = self.leases.get(lease)
        if held is None or not seq <= held.seq <= seq + ahead:
            return Renewal(Status.DEAD)
        late = held.expiry <= now
        self._hear(held, now)
        if not held.draining:
            held.expiry = now + held.ttl
        return Renewal(Status.OK, late, {key: self.place(key) for key in keys}, now)

    def drain(self, lease: str, grace: float, now: float) -> None:
        if held := self.leases.get(lease):
            held.expiry = now + grace
            held.draining = True
            if lease not in self.index:
                del self.leases[lease]

    def claim(self, own: str | None, limit: int, lag: float, now: float) -> list[Work] | None:
        if own is not None and (own not in self.leases or self.leases[own].expiry <= now):
            return None
        for lease, held in list(self.leases.items()):
            grace = 0 if own is not None or lease.startswith(JOB) else lag
            if held.expiry + grace <= now and (own is None or self._had_its_turn(held, now)):
                del self.leases[lease]
                self.dead[lease] = None
        return self._work(limit)

    def _had_its_turn(self, held: Lease, now: float) -> bool:
        """Return whether *held*, an expired lease, would have been renewed if its owner were alive."""
        if not held.unheard:
            return True
        turn = min(held.unheard, held.pause) if held.draining else held.unheard
        return now - self.heard <= held.pause and now - self.heard_since >= turn

    def _work(self, limit: int) -> list[Work]:
        work: list[Work] = []
        for lease in list(self.dead):
            refs: dict[str, list[str]] = {}
            for key, ref in islice(self.index.get(lease, ()), limit):
                refs.setdefault(key, []).append(ref)
                limit -= 1
            if lease not in self.index:
                del self.dead[lease]
            work += [Work(lease, key, some) for key, some in refs.items()]
        return work

    def reap(self, lease: str, key: str, refs: Iterable[str], tag: str) -> Change | None:
        group = self.groups.get(key)
        before: dict[str, Member | None] = {}
        for ref in refs if lease in self.dead else ():
            self._unindex(lease, key, ref)
            if group and ref in group.rows and group.rows[ref].lease == lease:
                self._drop(group, ref, before)
        if lease not in self.index:
            self.dead.pop(lease, None)
        return self._step(key, group, before, tag) if group else None

    # Writes under a lease

    def write(self, lease: str, ops: Sequence[Op], now: float) -> list[Reply]:
        return [
            self._join(lease, op, now) if isinstance(op, Join) else self._leave(lease, op, now) for op in ops
        ]

    def _gate(self, lease: str, seq: int) -> Status:
        held = self.leases.get(lease)
        if held is None or seq > held.seq + 1:
            return Status.DEAD
        if seq <= held.seq:
            return Status.SEEN
        held.seq = seq
        return Status.OK

    def _join(self, lease: str, op: Join, now: float) -> Reply:
        if (status := self._gate(lease, op.seq)) is not Status.OK:
            return Reply(status)
        group = self.groups.setdefault(op.key, StoredGroup(Place(op.epoch, 0, "")))
        before: dict[str, Member | None] = {}
        had = group.rows.get(op.ref)
        if had and had.lease != lease:
            self._unindex(had.lease, op.key, op.ref)
        if had and had.user != op.user:
            self._drop(group, op.ref, before)
            had = None
        user = group.users.get(op.user)
        before.setdefault(op.user, user)
        joined_at = now if op.joined_at is None else op.joined_at
        if user:
            joined_at = user.joined_at if op.joined_at is None else min(user.joined_at, joined_at)
        said = self._said(group, op, had, now)
        group.add(op.ref, Row(lease, op.user, op.meta, said), joined_at)
        self.index.setdefault(lease, {})[op.key, op.ref] = None
        change = self._step(op.key, group, before, op.tag)
        return Reply(Status.OK, group.place.epoch, change, said)

    @staticmethod
    def _said(group: StoredGroup, op: Join, had: Row | None, now: float) -> float:
        """Return when the meta of *op* was said: later than all others of its user, if it is said by this join."""
        if op.said is not None:
            return max(op.said, had.said) if had and had.meta == op.meta else op.said
        refs = group.refs.get(op.user)
        return round(max(now, refs[-1][0] + TICK) if refs else now, 6)

    def _leave(self, lease: str, op: Leave, now: float) -> Reply:
        if (status := self._gate(lease, op.seq)) is not Status.OK:
            return Reply(status)
        if op.by is not None and now > op.by:
            return Reply(Status.LATE)
        return Reply(Status.OK, change=self._remove(op.key, op.ref, op.tag))

    def _remove(self, key: str, ref: str, tag: str) -> Change | None:
        group = self.groups.get(key)
        if group is None or ref not in group.rows:
            return None
        before: dict[str, Member | None] = {}
        self._unindex(group.rows[ref].lease, key, ref)
        self._drop(group, ref, before)
        return self._step(key, group, before, tag)

    @staticmethod
    def _drop(group: StoredGroup, ref: str, before: dict[str, Member | None]) -> None:
        user = group.rows[ref].user
        before.setdefault(user, group.users[user])
        group.remove(ref)

    def _unindex(self, lease: str, key: str, ref: str) -> None:
        if refs := self.index.get(lease):
            refs.pop((key, ref), None)
            if not refs:
                del self.index[lease]
                if lease.startswith(JOB):
                    self.leases.pop(lease, None)
                    self.dead.pop(lease, None)

    def _step(
        self, key: str, group: StoredGroup, before: dict[str, Member | None], tag: str
    ) -> Change | None:
        records = {
            user: group.users.get(user) for user, was in before.items() if was != group.users.get(user)
        }
        if not group.rows:
            del self.groups[key]
        if not records:
            return None
        prev, group.place = group.place.tag, Place(group.place.epoch, group.place.version + 1, tag)
        return Change(
            key, group.place, prev, records, len(group.users), {user: before[user] for user in records}
        )

    # Jobs

    def beat(self, key: str, ref: str, now: float) -> bool:
        group = self.groups.get(key)
        lease = group.rows[ref].lease if group and ref in group.rows else ""
        if not lease.startswith(JOB) or lease not in self.leases:
            return False
        held = self.leases[lease]
        if not held.draining:
            held.expiry = now + held.ttl
        return True

    def release(self, key: str, ref: str, tag: str) -> Change | None:
        return self._remove(key, ref, tag)

    # Reads

    def place(self, key: str) -> Place | None:
        group = self.groups.get(key)
        return group.place if group else None

    def snapshot(self, key: str) -> Snapshot:
        group = self.groups.get(key)
        return Snapshot(group.place, dict(group.users)) if group else Snapshot(None, {})

    def page(self, key: str, limit: int | None, after: Spot | None) -> dict[str, Member]:
        group = self.groups.get(key)
        return {user: group.users[user] for user in group.order.part(limit, after)} if group else {}

    def count(self, key: str) -> int:
        group = self.groups.get(key)
        return len(group.users) if group else 0

    def member(self, key: str, user: str) -> Member | None:
        group = self.groups.get(key)
        return group.users.get(user) if group else None
