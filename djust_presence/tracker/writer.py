"""The only one in a process that changes the store: one lease, one call at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from ..errors import PresenceUnavailable
from ..state.outbox import Batch, Outbox
from ..state.records import Status
from .chance import backoff, fresh
from .group import Group
from .outage import write_failed, write_worked
from .session import Session

if TYPE_CHECKING:
    from .process import Tracker

OPS_PER_BATCH = 500
REFS_PER_CLAIM = 500
DOUBT = 0.25  # a replica that differs from a renewal's answer may only be ahead of it, or behind, for so long
LONGEST_STOP = 4.0  # seconds for the store to hear of retired leases; servers kill what takes 10 to stop
REJOINS_PER_SECOND = 200  # of a process, after the store lost it; all of them within one renewal


class Writer:
    """Tells the store what its tracker's sessions wish, keeps the lease, and buries the dead.

    While the tracker rests no lease is held: after a clean stop, and until somebody comes.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._backend = tracker.backend
        self._settings = tracker.settings
        self._outbox = Outbox(fresh, tracker.shown)
        self._unsettled: dict[str, Session] = {}  # ref -> whose wish the store has not confirmed yet
        self._fleeting: set[str] = set()  # refs that cannot come back after their connection is lost
        self._turning = asyncio.Lock()
        self._wake = asyncio.Event()
        self._resting = True
        self._open_at = self._renew_at = 0.0
        self._reaping = False
        self._ends: list[tuple[Batch, float]] = []  # last words of retired leases, and their graces
        self._unheard: tuple[PresenceUnavailable, float] | None = None  # the failure to tell an end, and when

    # Wishes

    @property
    def keys(self) -> set[str]:
        """The groups in which somebody is to be present."""
        return {wish.key for wish in self._outbox.wanted.values()}

    def follow(self, session: Session) -> None:
        """Take over what *session* wishes by now."""
        own, told = session.own, session.told
        if told and (own is None or own.ref != told.ref):
            self.drop(told.ref)
            self._unsettled[told.ref] = session
            session.told = told = None
        # Only once the others are known is it sure that one's own coming is seen as such.
        if own and session.served and (own != told or own.ref not in self._outbox.wanted):
            self._outbox.want(own.ref, own.wish)
            self._unsettled[own.ref] = session
            if not own.lasting:
                self._fleeting.add(own.ref)
            session.told = own
            self._wake.set()

    def drop(self, ref: str) -> None:
        self._fleeting.discard(ref)
        self._outbox.drop(ref)
        self._wake.set()

    def settle(self) -> None:
        """What the store has confirmed, and the replica holds, need no longer be laid over it."""
        for ref, session in list(self._unsettled.items()):
            if self._outbox.settled(ref) and not (session.group and session.group.behind):
                del self._unsettled[ref]
                if session.told is None or self._outbox.settled(session.told.ref):
                    session.confirmed = session.told

    # Turns

    def start(self) -> bool:
        """Rest no longer; whether it did."""
        rested, self._resting = self._resting, False
        if rested:
            self._wake.set()
        return rested

    async def run(self) -> None:
        failures = 0
        while True:
            self._wake.clear()
            try:
                async with self._turning:
                    more = await self._turn()
            except PresenceUnavailable as error:
                failures += 1
                write_failed(self._backend, error)
                # Back before anybody who is, and has renewed on time since, buries those who are not.
                await asyncio.sleep(backoff(failures, self._settings.renew_interval / 2))
                continue
            failures = 0
            if not more:
                await self._wait()

    async def _wait(self) -> None:
        """Until somebody wishes something, or something is due."""
        if self._resting:
            await self._wake.wait()
            return
        due = self._renew_at if self._outbox.lease else self._open_at
        timer = self._tracker.later(max(0.0, due - self._tracker.now), self._wake.set)
        await self._wake.wait()
        timer.cancel()

    async def _turn(self) -> bool:
        """Do the next thing that is due; False if nothing is."""
        lease, now = self._outbox.lease, self._tracker.now
        if lease is None and (self._resting or now < self._open_at):
            return False
        if lease and not self._outbox.busy and now >= self._renew_at:
            await self._renew(lease)
        elif batch := self._outbox.next(OPS_PER_BATCH):
            await self._send(batch)
        elif self._reaping and lease:
            await self._reap(lease)
        else:
            self.settle()
            return False
        self._worked()
        return True

    async def _send(self, batch: Batch) -> None:
        birth = ""
        if batch.ops:
            replies = await self._backend.awrite(batch.lease, batch.ops)
        else:
            birth = await self._backend.aopen(batch.lease, self._settings.lease_ttl)
            replies = []
            self._renew_at = self._tracker.now + self._settings.renew_interval
            self._reaping = False
            self._hold()
        answer = self._outbox.answer(batch, replies, birth)
        self._tracker.publish(answer.changes)
        for key in answer.unsure & self._tracker.groups.keys():
            self._tracker.groups[key].replica.ask()
            self._tracker.fetch(self._tracker.groups[key])
        if batch.ops and self._outbox.lease is None:
            self._begin_anew()
        self.settle()

    async def _renew(self, lease: str) -> None:
        groups = self._tracker.groups
        keys = [key for key, group in groups.items() if group.replica.ready]
        renewal = await self._backend.arenew(lease, self._outbox.seq, keys)
        now = self._tracker.now
        self._renew_at = now + self._settings.renew_interval
        self._tracker.bus.again()
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
            if group := groups.get(key):
                if group.replica.compare(place, now):
                    doubtful.append(group)
                self._tracker.fetch(group)
        if doubtful:
            self._tracker.later(DOUBT, self._doubt, doubtful)

    def _doubt(self, groups: Sequence[Group]) -> None:
        for group in groups:
            group.replica.doubt()
            self._tracker.fetch(group)

    def _begin_anew(self) -> None:
        """The store has lost this process: after a flush all processes do this, so not all at once."""
        spread = min(self._settings.renew_interval, len(self._outbox.wanted) / REJOINS_PER_SECOND)
        self._open_at = self._tracker.now + random.random() * spread
        self._tracker.bus.again(always=True)

    def _hold(self) -> None:
        for group in self._tracker.groups.values():
            group.replica.restart_hold(self._tracker.now)

    async def _reap(self, lease: str) -> None:
        """One round of removing what dead leases have left."""
        work = await self._backend.aclaim(lease, REFS_PER_CLAIM, 0)
        self._reaping = bool(work)
        for dead, key, refs in work or ():
            if change := await self._backend.areap(dead, key, refs, fresh()):
                self._tracker.publish([change])

    # Stopping

    def drain(self) -> Coroutine[Any, Any, None]:
        """Retire the lease: whoever comes back elsewhere within DRAIN_GRACE has never been away."""
        self._retire(self._fleeting, self._settings.drain_grace)
        return self._tell_ends()

    def leave(self) -> Coroutine[Any, Any, None]:
        """Retire the lease: everybody leaves at once."""
        self._retire(self._outbox.wanted, 0)
        return self._tell_ends()

    def drain_now(self) -> None:
        """As ``drain``, without the loop: blocking, and the others find out by themselves.

        What the loop has begun of it, and may have had no time for, is done as well: the store takes no write twice.
        Raises ``PresenceUnavailable`` if the store has not heard of it; what the loop has tried in vain is not
        tried again.
        """
        self._retire(self._fleeting, self._settings.drain_grace)
        if error := self.take_unheard():
            raise error
        for batch, grace in tuple(self._ends):
            if batch.ops:
                self._backend.write(batch.lease, batch.ops)
            self._backend.drain(batch.lease, grace)

    def take_unheard(self) -> PresenceUnavailable | None:
        """Return, once, why the store did not hear that a lease was retired; None if it did, or if that has expired."""
        unheard, self._unheard = self._unheard, None
        if unheard is None:
            return None
        error, at = unheard
        return error if self._tracker.now - at < self._settings.lease_ttl else None

    def _retire(self, leaving: Iterable[str], grace: float) -> None:
        """From here on the lease is over, and what is wished goes under another one."""
        self._resting = True
        if batch := self._outbox.retire(tuple(leaving)):
            self._ends.append((batch, grace))
        self._fleeting.clear()

    async def _tell_ends(self) -> None:
        """Let the store know of all leases that are retired already; give up after `LONGEST_STOP`."""
        error = PresenceUnavailable(f"no answer within {LONGEST_STOP:g} seconds")
        try:
            async with asyncio.timeout(LONGEST_STOP), self._turning:
                for failures in count(1):
                    try:
                        return await self._tell_each_end()
                    except PresenceUnavailable as raised:
                        error = raised
                        await asyncio.sleep(backoff(failures, LONGEST_STOP))
        except TimeoutError:
            if self._ends:
                self._ends.clear()
                self._unheard = error, self._tracker.now
                write_failed(self._backend, error)

    async def _tell_each_end(self) -> None:
        while self._ends:
            batch, grace = end = self._ends[0]
            replies = await self._backend.awrite(batch.lease, batch.ops) if batch.ops else []
            self._tracker.publish(self._outbox.answer(batch, replies).changes)
            await self._backend.adrain(batch.lease, grace)
            self._ends = [other for other in self._ends if other is not end]
            self._worked()

    def _worked(self) -> None:
        self._unheard = None
        write_worked(self._backend)
