"""The presences that a process wants in the store, compared with those that it has sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from .records import Change, Join, Leave, Member, Op, Place, Reply, Status

__all__ = ["Batch", "Outbox", "Wish"]


class Wish(NamedTuple):
    """The wish of a connection to be present. *nth* tells a meta that is said again from an earlier, equal one."""

    key: str
    user: str
    meta: str
    nth: int = 0


class Batch(NamedTuple):
    """A request under way to the store: the opening of *lease* when there are no ops, else writes under it."""

    lease: str
    ops: Sequence[Op]


class _Taken(NamedTuple):
    """A ref as confirmed by the store: when its meta was said, the epoch of its group, the lease and the store's birth."""

    wish: Wish
    said: float
    epoch: str
    lease: str
    birth: str


LONG_AGO = 0.0  # the time of a meta that was said at an unknown time


@dataclass(slots=True)
class Answer:
    """The outcome of the store's replies: Changes of this process, and groups for which a reply was lost."""

    changes: list[Change] = field(default_factory=list)
    unsure: set[str] = field(default_factory=set)


class Outbox:
    """The writer's memory: one lease, one batch in flight, repeated unchanged until it is answered.

    *fresh* makes ids that were never used before. *shown* returns the member that this process shows, for users
    who must be joined again unchanged.
    """

    def __init__(self, fresh: Callable[[], str], shown: Callable[[str, str], Member | None]) -> None:
        self._fresh = fresh
        self._shown = shown
        self.lease: str | None = None
        self.seq = 0
        self.birth = ""  # of the store in which a lease was opened last
        self._refilled = False  # True if the store has lost everything since this process began
        self.wanted: dict[str, Wish] = {}
        self._sent: dict[str, Wish] = {}  # sent under this lease
        self._leaving: dict[str, Wish] = {}  # the wishes of refs whose leave is under way
        self._taken: dict[str, _Taken] = {}  # the store's last answers, under any lease
        self._again: set[str] = set()  # refs to send again
        self._dirty: dict[str, None] = {}
        self._under_way: frozenset[str] = frozenset()
        self._batch: Batch | None = None

    # Wishes

    def want(self, ref: str, wish: Wish) -> None:
        self.wanted[ref] = wish
        self._dirty[ref] = None

    def drop(self, ref: str) -> None:
        if self.wanted.pop(ref, None):
            self._dirty[ref] = None

    def settled(self, ref: str) -> bool:
        """Return whether the store has answered all writes of *ref*."""
        return ref not in self._dirty and not (self._batch and ref in self._under_way)

    # Batches

    @property
    def busy(self) -> bool:
        return self._batch is not None

    @property
    def ahead(self) -> int:
        """The number of writes under way, which are the last of ``seq``."""
        return len(self._batch.ops) if self._batch else 0

    def next(self, limit: int, leaves: bool = True, by: float | None = None) -> Batch | None:
        """Return the unanswered batch unchanged, else the opening of a lease, else pending writes; None for nothing.

        Without *leaves*, those stay pending; *by* is the store's time after which they are void.
        """
        if self._batch is None:
            if self.lease is None:
                self._batch = Batch(self._fresh(), ())
            elif self._dirty:
                self._batch = self._compose(self.lease, limit, leaves, by)
        return self._batch

    def _compose(self, lease: str, limit: int, leaves: bool, by: float | None) -> Batch | None:
        ops: list[Op] = []
        seqs = count(self.seq + 1)
        for ref in list(self._dirty):
            if len(ops) == limit:
                break
            wish, told, again = self.wanted.get(ref), self._sent.get(ref), ref in self._again
            if wish is None and told and not leaves:
                continue
            del self._dirty[ref]
            self._again.discard(ref)
            if wish is None:
                if told:
                    ops.append(Leave(next(seqs), told.key, ref, self._fresh(), by))
                    self._leaving[ref] = self._sent.pop(ref)
                self._taken.pop(ref, None)
            elif again or wish != told:
                ops.append(self._join(next(seqs), ref, wish, again or told is None))
                self._sent[ref] = wish
        self.seq += len(ops)
        self._under_way = frozenset(op.ref for op in ops)
        return Batch(lease, ops) if ops else None

    def _join(self, seq: int, ref: str, wish: Wish, back: bool) -> Join:
        """Return a join of *ref*; with *back*, it hands back the times that the store may have lost."""
        taken = self._taken.get(ref) if back else None
        shown = self._shown(wish.key, wish.user) if taken else None
        said = taken.said if taken and taken.wish == wish else None
        if said is None and self._sent.get(ref) == wish:
            said = LONG_AGO
        joined_at = shown.joined_at if shown else None
        return Join(seq, wish.key, ref, wish.user, wish.meta, self._fresh(), self._fresh(), joined_at, said)

    def failed(self) -> None:
        """Keep the unanswered batch to be repeated unchanged, except that leaves in it are void unless they have run.

        Users who leave here may have come back on another process meanwhile, and not be known there yet.
        """
        if self._batch:
            ops = [op._replace(by=LONG_AGO) if isinstance(op, Leave) else op for op in self._batch.ops]
            self._batch = Batch(self._batch.lease, ops)

    def answer(self, batch: Batch, replies: Sequence[Reply], birth: str = "") -> Answer:
        """Take in the answer to *batch*: to the opening of a lease the store's *birth*, to writes *replies*."""
        answer = Answer()
        current, self._batch = self._batch is batch, None if self._batch is batch else self._batch
        if current and not batch.ops:
            self.lease, self.seq = batch.lease, 0
            self._refilled = self._refilled or self.birth not in ("", birth)
            self.birth = birth
        for op, reply in zip(batch.ops, replies, strict=True):
            if reply.status is Status.DEAD:
                self.lost(batch.lease)
                break
            told = self._sent.get(op.ref) if current and isinstance(op, Join) else None
            left = self._leaving.pop(op.ref, None) if current and isinstance(op, Leave) else None
            if left and reply.status is not Status.OK:  # the leave was too late, now or perhaps when it ran
                self._sent[op.ref] = left
                self._dirty[op.ref] = None
            if reply.status is Status.SEEN:
                answer.unsure.add(op.key)
                if told or left:  # it ran once, but may have been undone since
                    self._tell_again(op.ref)
            change = reply.change
            if told and reply.status is Status.OK:
                if change:
                    change = self._without_news(change, op.ref, told, batch.lease)
                self._taken[op.ref] = _Taken(told, reply.said, reply.epoch, batch.lease, self.birth)
            if change:
                answer.changes.append(change)
        return answer

    def _without_news(self, change: Change, ref: str, wish: Wish, lease: str) -> Change:
        """Return *change* without the part that only lists the user of *wish* again after the store has lost them."""
        before = self._taken.get(ref)
        if before and (before.lease == lease or before.birth != self.birth):
            return change.without(wish.user) if before.wish == wish else change.without_join(wish.user)
        if before is None and self._refilled and self._shown(wish.key, wish.user):
            return change.without_join(wish.user)
        return change

    # The lease

    def renewed(self, places: Mapping[str, Place | None]) -> None:
        """Take in the *places* of groups at a renewal: refs that were confirmed in another epoch join again."""
        for ref, wish in self._sent.items():
            if wish.key in places and ref in self._taken:
                place = places[wish.key]
                if place is None or place.epoch != self._taken[ref].epoch:
                    self._tell_again(ref)

    def _tell_again(self, ref: str) -> None:
        self._again.add(ref)
        self._dirty[ref] = None

    def lost(self, lease: str) -> None:
        """Start over, as the store does not know *lease* or has lost writes under it: all refs join again, as shown."""
        if self.lease == lease:
            self._forget()
            self._batch = None  # a batch in flight was written under this lease
            self._taken = {ref: taken for ref, taken in self._taken.items() if ref in self.wanted}
            self._dirty = dict.fromkeys(self.wanted)

    def retire(self, leaving: Iterable[str]) -> Batch | None:
        """Begin a clean stop. Return the last batch of the lease, with leaves of *leaving* and dropped refs; None: no lease.

        Other refs under the lease stay present until it expires, or they come back elsewhere. Later wishes go
        under another lease.
        """
        lease, seq = self.lease, self.seq
        dropped = (ref for ref in self._dirty if ref not in self.wanted)
        refs = (ref for ref in dict.fromkeys([*leaving, *dropped]) if ref in self._sent)
        ops = [Leave(seq + i, self._sent[ref].key, ref, self._fresh()) for i, ref in enumerate(refs, 1)]
        self.wanted.clear()
        self._taken.clear()
        self._dirty.clear()
        self._batch = None
        self._forget()
        return Batch(lease, ops) if lease else None

    def _forget(self) -> None:
        self.lease, self.seq = None, 0
        self._sent.clear()
        self._leaving.clear()
        self._again.clear()
