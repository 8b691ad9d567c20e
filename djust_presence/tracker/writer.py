"""The writer, through which all changes of the store by a process go: one call at a time, as its Keeper decides."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from math import inf
from typing import Any, Protocol

from ..backends.base import Backend
from ..bus import Bus
from ..errors import PresenceUnavailable
from ..state.keeper import Keeper
from ..state.records import Change
from .clock import Clock
from .store_outages import write_failed, write_worked

__all__ = ["Writer"]

# Seconds to tell the store of retired leases; servers kill a process that takes 10 to stop.
LONGEST_STOP = 4.0

# Seconds between two writes: when many pages open at once, their presences go to the store together.
PAUSE = 0.025


class WriterOwner(Protocol):
    """The process of the writer."""

    def publish(self, changes: Iterable[Change]) -> None:
        """Publish Changes that the store has made for this process."""

    def settle(self, touched: Iterable[str]) -> None:
        """Confirm wishes, after an answer or some time; replicas of the groups *touched* may want a snapshot."""


class Writer:
    """Carries the calls of *keeper* to *backend*."""

    def __init__(self, backend: Backend, bus: Bus, clock: Clock, keeper: Keeper, owner: WriterOwner) -> None:
        self._backend = backend
        self._bus = bus
        self._clock = clock
        self._keeper = keeper
        self._owner = owner
        self._turning = asyncio.Lock()
        self._wake = asyncio.Event()
        self._failure = PresenceUnavailable("")  # the last one
        # The error of a failed clean stop, and its time.
        self._unheard: tuple[PresenceUnavailable, float] | None = None

    def wake(self) -> None:
        """Look for pending writes."""
        self._wake.set()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            async with self._turning:
                verb = await self._turn()
            if verb is None:
                await self._wait()
            elif verb == "write":
                await asyncio.sleep(PAUSE)

    async def _wait(self) -> None:
        """Wait until a call is due, or :meth:`wake` is called."""
        due = self._keeper.due
        timer = self._clock.later(due - self._clock.now, self._wake.set) if due < inf else None
        await self._wake.wait()
        if timer:
            timer.cancel()

    async def _turn(self) -> str | None:
        """Make the call that is due; return its verb, or None if there was none."""
        call = self._keeper.next(self._clock.now)
        if call is None or self._keeper.touched:
            self._settle()
        if call is None:
            return None
        try:
            reply = await getattr(self._backend, f"a{call.verb}")(*call.args)
        except PresenceUnavailable as error:
            self._keeper.failed(call, self._clock.now)
            self._failure = error
            write_failed(self._backend, error)
            return call.verb
        self._unheard = None
        write_worked(self._backend)
        self._owner.publish(self._keeper.answered(call, reply, self._clock.now))
        self._settle()
        lost = self._keeper.outbox.lease is None and not self._keeper.resting
        if lost or call.verb == "renew":
            self._bus.again(always=lost)  # a layer on the same server may have lost its data as well
        return call.verb

    def _settle(self) -> None:
        touched = tuple(self._keeper.touched)
        self._keeper.touched.clear()
        self._owner.settle(touched)

    # Stopping

    def retire(self, leaving: Iterable[str], grace: float) -> Coroutine[Any, Any, None]:
        """End the lease: *leaving* leave at once, the others after *grace* seconds unless they come back elsewhere.

        Later wishes go under another lease. Await the result to tell the store.
        """
        self._keeper.retire(leaving, grace)
        return self._tell_ends()

    def retire_now(self, leaving: Iterable[str], grace: float) -> None:
        """Do the same without the loop: blocking, and without messages to other processes.

        This repeats calls that the loop has begun and may not have finished: the store does not apply a write twice.
        Raises ``PresenceUnavailable`` if the store does not answer; a call that failed on the loop is not
        repeated.
        """
        self._keeper.retire(leaving, grace)
        if error := self.take_unheard():
            raise error
        for call in self._keeper.ends:
            getattr(self._backend, call.verb)(*call.args)

    def take_unheard(self) -> PresenceUnavailable | None:
        """Return, once, the error that kept the end of a lease from the store; None if there was none, or it has expired."""
        unheard, self._unheard = self._unheard, None
        if unheard is None:
            return None
        error, at = unheard
        return error if self._clock.now - at < self._keeper.timing.ttl else None

    async def _tell_ends(self) -> None:
        """Tell the store of all retired leases; give up after `LONGEST_STOP`."""
        self._failure = PresenceUnavailable(f"no answer within {LONGEST_STOP:g} seconds")
        try:
            async with asyncio.timeout(LONGEST_STOP), self._turning:
                while self._keeper.ends:
                    if not await self._turn():
                        await asyncio.sleep(self._keeper.due - self._clock.now)
        except TimeoutError:
            if self._keeper.ends:
                self._keeper.abandon()
                self._unheard = self._failure, self._clock.now
                write_failed(self._backend, self._failure)
