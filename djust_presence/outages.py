"""The decision which failures are an outage, for one line in the log when it begins and one when it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from .forks import after_fork

__all__ = ["Outage", "OutageOf"]

T = TypeVar("T")

# A lost reply, even if the caller repeats at once and loses another, is not an outage. A server that is restarted, or
# a failover within a host, may take two seconds, in which a caller with back-off tries four times.
FAILURES = 3
SECONDS = 2.0


class Outage:
    """Calls that fail, until one succeeds again.

    It begins with the failure that is at least the *failures*-th in a row and comes at least *seconds* after the
    first of them, and is over with the next success. *clock* gives seconds. For any thread.
    """

    _all: WeakSet[Outage] = WeakSet()

    def __init__(
        self,
        failures: int = FAILURES,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._needed = failures
        self._seconds = seconds
        self._clock = clock
        self._failures = 0
        self._since = 0.0
        self._begun = False
        self._lock = threading.Lock()
        self._all.add(self)

    def failed(self) -> bool:
        """Count a failed call; True if the outage begins with it."""
        with self._lock:
            now = self._clock()
            if not self._failures:
                self._since = now
            self._failures += 1
            if self._begun or self._failures < self._needed or now - self._since < self._seconds:
                return False
            self._begun = True
            return True

    def worked(self) -> bool:
        """Count a successful call; True if the outage is over with it."""
        if not self._failures:
            return False
        with self._lock:
            was, self._begun, self._failures = self._begun, False, 0
            return was

    @classmethod
    def forget_locks(cls) -> None:
        """Replace the locks in a forked child, where no thread would release them."""
        for outage in cls._all:
            outage._lock = threading.Lock()


class OutageOf(Generic[T]):
    """An `Outage` for each backend, or each channel layer; it goes with that. For any thread."""

    def __init__(self) -> None:
        self._outages: WeakKeyDictionary[T, Outage] = WeakKeyDictionary()

    def __getitem__(self, thing: T) -> Outage:
        found = self._outages.get(thing)
        return found or self._outages.setdefault(thing, Outage())


after_fork(Outage.forget_locks)
