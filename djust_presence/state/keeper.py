"""The decisions of a process: renew its lease, write pending changes, reap the refs of dead processes, or wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .outbox import Batch, Outbox
from .records import Change, Place, Renewal, Status, Work
from .replica import Replica

__all__ = ["Call", "Keeper", "Timing"]

NEVER, FOREVER = float("-inf"), float("inf")

REFS_PER_CLAIM = 500
DOUBT = 0.25  # seconds for which a replica may differ from a renewal's answer because one of them is older
REJOINS_PER_SECOND = 200  # of one process after the store lost it; all within one renewal
SLACK = 0.5  # seconds that a leave may be under way, besides the time that the last renewal took
STEADY = 2  # renewals on time in a row, after which an outage is over for all processes


class Timing(NamedTuple):
    """The times of a process, in seconds; all follow from the ttl of its lease."""

    ttl: float
    renew: float
    unheard: float  # a renewal, a time-out and the longest back-off
    pause: float  # the shortest silence of all processes in which the lease of a live one can expire
    backoff: float  # the longest

    @classmethod
    def of(cls, ttl: float) -> Timing:
        return cls(ttl, ttl / 6, ttl / 3, ttl / 2, ttl / 12)


class Call(NamedTuple):
    """A verb of the store with its arguments; *batch* if it comes from the outbox."""

    verb: str
    args: tuple[Any, ...]
    batch: Batch | None = None


class Keeper:
    """The decisions of a process's writer; time is an argument, and one call at a time is under way.

    Ask :meth:`next` for a call, carry it out, and report its end to :meth:`answered` or :meth:`failed`. *replicas* are
    those of the groups that the process serves, *fresh* makes ids that were never used before, *chance* numbers from 0
    to 1, and *limit* is how many writes go in one batch at most.
    """

    def __init__(
        self,
        outbox: Outbox,
        replicas: Mapping[str, Replica],
        timing: Timing,
        fresh: Callable[[], str],
        chance: Callable[[], float],
        limit: int = 500,
    ) -> None:
        self.outbox = outbox
        self.resting = True  # no page has come since the start, or the last clean stop: no lease is needed
        self.touched: set[str] = set()  # groups whose replica may want a snapshot since this was emptied last
        self._replicas = replicas
        self.timing = timing
        self._fresh = fresh
        self._chance = chance
        self._limit = limit
        self._open_at = self._renew_at = self._retry_at = NEVER
        self._renewal_sent_at = self._answered_at = NEVER
        self._failures = 0
        self._claiming = False
        self._work: deque[Work] = deque()
        self._ends: deque[Call] = deque()  # final calls of retired leases
        self._doubts: deque[tuple[float, Sequence[str]]] = deque()
        self._opening = ""
        self._ahead: float | None = None  # seconds by which the store's clock is ahead, once known
        self._steady = STEADY
        self._leaves_at = NEVER  # leaves are sent from this time on

    # The next call

    def next(self, now: float) -> Call | None:
        """Return the call that is due, or None if there is none until :meth:`due` or the next wish."""
        self._look_at_doubts(now)
        lease = self.outbox.lease
        if now < self._retry_at:
            return None
        if self._ends:
            return self._ends[0]
        if lease is None and (self.resting or now < self._open_at):
            return None
        if lease and now >= self._renew_at:
            self._renewal_sent_at = now
            ready = [key for key, replica in self._replicas.items() if replica.ready]
            return Call("renew", (lease, self.outbox.seq - self.outbox.ahead, ready, self.outbox.ahead))
        by = None if self._ahead is None else now + self._ahead + SLACK
        if batch := self.outbox.next(self._limit, self._lets_leave(now), by):
            return self._write(batch, now)
        if lease and self._work:
            return Call("reap", (*self._work[0], self._fresh()))
        if lease and self._claiming:
            return Call("claim", (lease, REFS_PER_CLAIM, 0.0))
        return None

    def _write(self, batch: Batch, now: float) -> Call:
        if batch.ops:
            return Call("write", (batch.lease, batch.ops), batch)
        if self._opening != batch.lease:
            self._opening, self._renewal_sent_at = batch.lease, now
        timing = self.timing
        return Call("open", (batch.lease, timing.ttl, timing.unheard, timing.pause), batch)

    @property
    def due(self) -> float:
        """The time at which :meth:`next` may have a call, if no wish comes before."""
        doubts = self._doubts[0][0] if self._doubts else FOREVER
        unfinished = self._ends or self.outbox.busy or (self.outbox.lease and (self._work or self._claiming))
        if unfinished:
            return min(doubts, self._retry_at)
        if self.outbox.lease is None and self.resting:
            return doubts
        lease = self._renew_at if self.outbox.lease else self._open_at
        return min(doubts, max(self._retry_at, lease))

    # Its end

    def answered(self, call: Call, reply: Any, now: float) -> Sequence[Change]:
        """Take in the store's *reply* to *call*, and return the Changes that this process has made."""
        self._failures, self._retry_at = 0, NEVER
        if self._leaves_at == FOREVER:
            self._leaves_at = now + self.timing.ttl
        if self._ends and call is self._ends[0]:
            self._ends.popleft()
            return self.outbox.answer(call.batch, reply).changes if call.batch else ()
        match call.verb:
            case "open":
                self._opened(call, reply, now)
            case "write":
                return self._written(call, reply, now)
            case "renew":
                self._renewed(call, reply, now)
            case "claim":
                self._work.extend(reply or ())
                self._claiming = bool(reply)
            case "reap":
                self._work.popleft()
                return [reply] if reply else ()
        return ()

    def failed(self, call: Call, now: float) -> None:
        """Note that *call* was not answered. It may have been carried out; it is repeated after a while."""
        self._failures += 1
        longest = min(self.timing.backoff, 0.1 * 2.0 ** min(self._failures, 10))
        self._retry_at = now + longest * (0.5 + self._chance() / 2)  # never in step with others
        self.outbox.failed()
        self._steady = 0
        if (
            self._failures > 1 or now >= self._leaves_at
        ):  # a lost reply now and then does not make leaves wait for ever
            self._leaves_at = FOREVER

    def _opened(self, call: Call, birth: str, now: float) -> None:
        assert call.batch
        self.outbox.answer(call.batch, (), birth)
        self._heard()
        self._claiming = False
        self._work.clear()
        self._hold(now)

    def _written(self, call: Call, replies: Any, now: float) -> Sequence[Change]:
        assert call.batch
        answer = self.outbox.answer(call.batch, replies)
        for key in answer.unsure & self._replicas.keys():
            self._replicas[key].ask_anew()
            self.touched.add(key)
        if self.outbox.lease is None:
            self._begin_again(now)
        return answer.changes

    def _renewed(self, call: Call, renewal: Renewal, now: float) -> None:
        lease = call.args[0]
        if lease != self.outbox.lease:
            return
        if renewal.status is Status.DEAD:
            self.outbox.lost(lease)
            self._begin_again(now)
            return
        # An earlier copy of this renewal, whose answer was lost, may have been the late one.
        if renewal.late or now - self._answered_at >= self.timing.ttl:
            self._hold(now)
            self._steady, self._leaves_at = 0, now + self.timing.ttl
        else:
            self._steady += 1
            if self._steady >= STEADY:
                self._leaves_at = NEVER
        self._heard()
        self._ahead = renewal.at - self._renewal_sent_at
        self._claiming = self._lets_leave(now)
        self.outbox.renewed(renewal.places)
        self._compare(renewal.places, now)

    def _heard(self) -> None:
        """Note the answer to a renewal or opening. The store may have carried it out soon after it was sent."""
        self._answered_at = self._renewal_sent_at
        self._renew_at = self._renewal_sent_at + self.timing.renew

    def _begin_again(self, now: float) -> None:
        """Open another lease, as the store has lost this process. After a flush all processes do, so not all at once."""
        spread = min(self.timing.renew, len(self.outbox.wanted) / REJOINS_PER_SECOND)
        self._open_at = now + self._chance() * spread

    # Replicas

    def _compare(self, places: Mapping[str, Place | None], now: float) -> None:
        doubtful = []
        for key, place in places.items():
            if replica := self._replicas.get(key):
                self.touched.add(key)
                if replica.compare(place, now):
                    doubtful.append(key)
        if doubtful:
            self._doubts.append((now + DOUBT, doubtful))

    def _look_at_doubts(self, now: float) -> None:
        while self._doubts and self._doubts[0][0] <= now:
            for key in self._doubts.popleft()[1]:
                if replica := self._replicas.get(key):
                    replica.doubt()
                    self.touched.add(key)

    def _hold(self, now: float) -> None:
        for replica in self._replicas.values():
            replica.restart_hold(now)

    def _lets_leave(self, now: float) -> bool:
        """Return whether leaves may be sent, and dead processes reaped.

        After an outage this waits for renewals on time, and for a lease's ttl at most: users who moved to another
        process meanwhile must be known there first.
        """
        return now >= self._leaves_at

    # Stopping

    def retire(self, leaving: Iterable[str], grace: float) -> None:
        """Retire the lease: the refs *leaving* leave, and the others stay present for *grace* seconds.

        Later wishes go under another lease.
        """
        self.resting = True
        self._retry_at = NEVER
        if batch := self.outbox.retire(leaving):
            if batch.ops:
                self._ends.append(Call("write", (batch.lease, batch.ops), batch))
            self._ends.append(Call("drain", (batch.lease, grace)))

    @property
    def ends(self) -> Sequence[Call]:
        """The calls that are left to make for retired leases."""
        return tuple(self._ends)

    def abandon(self) -> None:
        """Drop the final calls, as the store does not answer: retired leases expire by themselves."""
        self._ends.clear()

    def start(self) -> bool:
        """Stop resting; return whether it rested."""
        rested, self.resting = self.resting, False
        return rested
