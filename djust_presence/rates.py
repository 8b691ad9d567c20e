"""How often something may happen: tokens, and lines in the log that somebody else can cause."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .forks import after_fork

__all__ = ["LogLimit", "TokenBucket"]

SECONDS_PER_LINE = 10.0


class TokenBucket:
    """Holds *burst* tokens at first and at most, and gets *rate* new ones a second.

    Times are seconds of any clock. While that goes back, nothing is added.
    """

    __slots__ = ("_burst", "_rate", "_time", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._time = float("-inf")

    def take(self, now: float, leaving: float = 0, *, amount: float = 1) -> bool:
        """Take *amount* tokens if at least *leaving* others stay; return whether it did."""
        if now > self._time:
            self._tokens = min(self._burst, self._tokens + (now - self._time) * self._rate)
            self._time = now
        if self._tokens < amount + leaving:
            return False
        self._tokens -= amount
        return True


class LogLimit:
    """One line in ten seconds for what another process, or anybody on the network, can cause at any rate.

    For any thread. *clock* gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines = TokenBucket(1 / SECONDS_PER_LINE, 1)
        self._left_out = 0
        self._lock = threading.Lock()
        after_fork(self._forget_lock)

    def line(self) -> str | None:
        """The end of the line to log: empty, or how many were left out before it; None if this one is left out too."""
        with self._lock:
            if not self._lines.take(self._clock()):
                self._left_out += 1
                return None
            left_out, self._left_out = self._left_out, 0
            return f" {left_out} more like it were not logged." if left_out else ""

    def _forget_lock(self) -> None:
        self._lock = threading.Lock()
