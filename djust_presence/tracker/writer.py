"""The only one in a process that changes the store: one lease, one call at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterable
from math import inf
from typing import TYPE_CHECKING, Any

from ..errors import PresenceUnavailable
from ..state.keeper import Keeper, Timing
from ..state.outbox import Outbox
from .chance import fresh
from .outage import write_failed, write_worked
from .session import Session

if TYPE_CHECKING:
    from .process import Tracker

LONGEST_STOP = 4.0  # seconds for the store to hear of retired leases; servers kill what takes 10 to stop


class Writer:
    """Tells the store what its tracker's sessions wish, keeps the lease, and buries the dead.

    While the tracker rests no lease is held: after a clean stop, and until somebody comes.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._backend = tracker.backend
        self._settings = tracker.settings
        self._outbox = Outbox(fresh, tracker.shown)
        timing = Timing.of(self._settings.lease_ttl)
        self._keeper = Keeper(self._outbox, tracker.replicas, timing, fresh, random.random)
        self._unsettled: dict[str, Session] = {}  # ref -> whose wish the store has not confirmed yet
        self._fleeting: set[str] = set()  # refs that cannot come back after their connection is lost
        self._turning = asyncio.Lock()
        self._wake = asyncio.Event()
        self._failure = PresenceUnavailable("")  # the last one
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

    def go_on(self, session: Session) -> None:
        """*session* has taken over its ref from another one, whose wish the store may not have confirmed yet."""
        if session.told and session.told.ref in self._unsettled:
            self._unsettled[session.told.ref] = session

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
                    session.confirm()

    # Turns

    def start(self) -> bool:
        """Rest no longer; return whether it did."""
        rested = self._keeper.start()
        if rested:
            self._wake.set()
        return rested

    async def run(self) -> None:
        while True:
            self._wake.clear()
            async with self._turning:
                more = await self._turn()
            if not more:
                await self._wait()

    async def _wait(self) -> None:
        """Return when somebody wishes something, or when something is due."""
        due = self._keeper.due
        timer = self._tracker.later(due - self._tracker.now, self._wake.set) if due < inf else None
        await self._wake.wait()
        if timer:
            timer.cancel()

    async def _turn(self) -> bool:
        """Do what is due next; return whether there was anything."""
        call = self._keeper.next(self._tracker.now)
        self._fetch_touched()
        if call is None:
            self.settle()
            return False
        try:
            reply = await getattr(self._backend, f"a{call.verb}")(*call.args)
        except PresenceUnavailable as error:
            self._keeper.failed(call, self._tracker.now)
            self._failure = error
            write_failed(self._backend, error)
            return True
        self._unheard = None
        write_worked(self._backend)
        self._tracker.publish(self._keeper.answered(call, reply, self._tracker.now))
        self._fetch_touched()
        self.settle()
        if call.verb == "renew":
            self._tracker.bus.again()
        if self._outbox.lease is None and not self._keeper.resting:
            # The store has lost this process, and the layer may have lost it too.
            self._tracker.bus.again(always=True)
        return True

    def _fetch_touched(self) -> None:
        for key in self._keeper.touched:
            if group := self._tracker.groups.get(key):
                self._tracker.fetch(group)
        self._keeper.touched.clear()

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
        for call in self._keeper.ends:
            getattr(self._backend, call.verb)(*call.args)

    def take_unheard(self) -> PresenceUnavailable | None:
        """Return, once, why the store did not hear that a lease was retired; None if it did, or if that has expired."""
        unheard, self._unheard = self._unheard, None
        if unheard is None:
            return None
        error, at = unheard
        return error if self._tracker.now - at < self._settings.lease_ttl else None

    def _retire(self, leaving: Iterable[str], grace: float) -> None:
        """From here on the lease is over, and what is wished goes under another one."""
        self._keeper.retire(tuple(leaving), grace)
        self._fleeting.clear()

    async def _tell_ends(self) -> None:
        """Let the store know of all leases that are retired already; give up after `LONGEST_STOP`."""
        self._failure = PresenceUnavailable(f"no answer within {LONGEST_STOP:g} seconds")
        try:
            async with asyncio.timeout(LONGEST_STOP), self._turning:
                while self._keeper.ends:
                    if not await self._turn():
                        await asyncio.sleep(self._keeper.due - self._tracker.now)
        except TimeoutError:
            if self._keeper.ends:
                self._keeper.abandon()
                self._unheard = self._failure, self._tracker.now
                write_failed(self._backend, self._failure)
