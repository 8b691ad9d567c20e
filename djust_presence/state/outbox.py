"""What a process wants the store to list, against what it has told the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from .records import Change, Join, Leave, Member, Op, Place, Reply, Status


class Wish(NamedTuple):
    """A connection that is to be present."""

    key: str
    user: str
    meta: str


class Batch(NamedTuple):
    """What is under way to the store: the opening of *lease* when there are no ops, else writes under it."""

    lease: str
    ops: Sequence[Op]


@dataclass(slots=True)
class Answer:
    """What the store's replies led to: Changes of ours, and groups of which a reply was lost."""

    changes: list[Change] = field(default_factory=list)
    unsure: set[str] = field(default_factory=set)


class Outbox:
    """The writer's memory: one lease, one batch in flight, repeated unchanged until it is answered.

    *fresh* makes ids that were never used before. *shown* tells what this process shows of a user of a group, for
    whoever must be joined again as they were.
    """

    def __init__(self, fresh: Callable[[], str], shown: Callable[[str, str], Member | None]) -> None:
        self._fresh = fresh
        self._shown = shown
        self.lease: str | None = None
        self.seq = 0
        self.wanted: dict[str, Wish] = {}
        self._sent: dict[str, Wish] = {}
        self._confirmed: dict[str, str] = {}  # ref -> the life of its group in which the store took it
        self._restore: dict[str, Wish] = {}  # told as this before, and to be told again as it is shown by now
        self._dirty: dict[str, None] = {}
        self._batch: Batch | None = None

    # Wishes

    def want(self, ref: str, wish: Wish) -> None:
        self.wanted[ref] = wish
        self._dirty[ref] = None

    def drop(self, ref: str) -> None:
        if self.wanted.pop(ref, None):
            self._dirty[ref] = None

    def settled(self, ref: str) -> bool:
        """Whether the store has been told, and has answered, all there is about *ref*."""
        in_flight = self._batch is not None and any(op.ref == ref for op in self._batch.ops)
        return ref not in self._dirty and not in_flight

    # Batches

    @property
    def busy(self) -> bool:
        return self._batch is not None

    def next(self, limit: int) -> Batch | None:
        """The batch to send: the unanswered one as it was, else what is to be told; None when all is said."""
        if self._batch is None and self._dirty:
            if self.lease is None:
                self._batch = Batch(self._fresh(), ())
            else:
                self._batch = self._compose(self.lease, limit)
        return self._batch

    def _compose(self, lease: str, limit: int) -> Batch | None:
        ops: list[Op] = []
        seqs = count(self.seq + 1)
        while self._dirty and len(ops) < limit:
            ref = next(iter(self._dirty))
            del self._dirty[ref]
            wish, told = self.wanted.get(ref), self._sent.get(ref)
            before = self._restore.pop(ref, None)
            if wish is None:
                if told:
                    ops.append(Leave(next(seqs), told.key, ref, self._fresh()))
                    del self._sent[ref]
                    self._confirmed.pop(ref, None)
            elif before or wish != told:
                ops.append(self._join(next(seqs), ref, wish, before))
                self._sent[ref] = wish
        self.seq += len(ops)
        return Batch(lease, ops) if ops else None

    def _join(self, seq: int, ref: str, wish: Wish, before: Wish | None) -> Join:
        shown = self._shown(wish.key, wish.user) if before else None
        meta = shown.meta if shown and before == wish else wish.meta
        joined_at = shown.joined_at if shown else None
        return Join(seq, wish.key, ref, wish.user, meta, self._fresh(), self._fresh(), joined_at)

    def answer(self, batch: Batch, replies: Sequence[Reply]) -> Answer:
        """The store has answered *batch*; for an opening there are no replies."""
        answer = Answer()
        current, self._batch = self._batch is batch, None if self._batch is batch else self._batch
        if current and not batch.ops:
            self.lease, self.seq = batch.lease, 0
        for op, reply in zip(batch.ops, replies, strict=True):
            if reply.status is Status.DEAD:
                self.lost(batch.lease)
                break
            told = self._sent.get(op.ref) if current and isinstance(op, Join) else None
            if reply.status is Status.SEEN:
                answer.unsure.add(op.key)
                if (
                    told
                ):  # it ran once, but is it still there? Anything told differs from this, so it is told again
                    self._sent[op.ref] = told._replace(meta="")
                    self._dirty[op.ref] = None
            elif told:
                self._confirmed[op.ref] = reply.epoch
            if reply.change:
                answer.changes.append(reply.change)
        return answer

    # The lease

    def renewed(self, places: Mapping[str, Place | None]) -> None:
        """A renewal told where the groups stand: who was confirmed in another life of a group joins again."""
        for ref, epoch in self._confirmed.items():
            key = self._sent[ref].key
            if key in places and ref in self.wanted:
                place = places[key]
                if place is None or place.epoch != epoch:
                    self._restore[ref] = self._sent[ref]
                    self._dirty[ref] = None

    def lost(self, lease: str) -> None:
        """The store does not know *lease*, or has lost writes made under it: begin anew, everything as shown."""
        if self.lease == lease:
            self._restore |= self._sent
            self._forget()
            self._dirty = dict.fromkeys(self.wanted)

    def retire(self, leaving: Iterable[str]) -> Batch | None:
        """Begin a clean stop: the last batch, for *leaving* only, before the lease is drained; None: no lease.

        What was present under the lease stays so until it runs out, or comes back elsewhere. Wishes made later go
        under a new lease.
        """
        lease, seq = self.lease, self.seq
        ops = [
            Leave(seq + i, self._sent[ref].key, ref, self._fresh())
            for i, ref in enumerate((ref for ref in leaving if ref in self._sent), 1)
        ]
        self.wanted.clear()
        self._restore.clear()
        self._dirty.clear()
        self._batch = None
        self._forget()
        return Batch(lease, ops) if lease else None

    def _forget(self) -> None:
        self.lease, self.seq = None, 0
        self._sent.clear()
        self._confirmed.clear()
