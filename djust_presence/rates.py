"""Limits on rates: token buckets, and log lines that others can cause at any rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from weakref import WeakSet

from .forks import after_fork

__all__ = ["LogLimit", "TokenBucket", "user_code"]

SECONDS_PER_LINE = 10.0
MOST_CAUSES = 1000


class TokenBucket:
    """A bucket that holds *burst* tokens at first and at most, and gets *rate* new ones a second.

    Times are seconds of any clock. If that goes back, nothing is added.
    """

    __slots__ = ("_burst", "_rate", "_time", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._time = float("-inf")

    def take(self, now: float, leaving: float = 0, *, amount: float = 1) -> bool:
        """Take *amount* tokens and return True if at least *leaving* others stay."""
        if now > self._time:
            self._tokens = min(self._burst, self._tokens + (now - self._time) * self._rate)
            self._time = now
        if self._tokens < amount + leaving:
            return False
        self._tokens -= amount
        return True


class LogLimit:
    """*burst* lines, and then one in ten seconds, for what others can cause at any rate, by another cause each.

    For any thread. *clock* gives seconds.
    """

    _all: WeakSet[LogLimit] = WeakSet()

    def __init__(self, clock: Callable[[], float] = time.monotonic, burst: int = 1) -> None:
        self._clock = clock
        self._burst = burst
        self._lines: dict[tuple[object, ...], TokenBucket] = {}
        self._left_out: dict[tuple[object, ...], int] = {}
        self._lock = threading.Lock()
        self._all.add(self)

    def line(self, *cause: object) -> str | None:
        """The end of the line to log: empty, or how many were left out before it; None if this one is left out too.

        A *cause* is part of the code, such as a function and a type of error, never anything that somebody has sent.
        """
        with self._lock:
            if cause not in self._lines:
                if len(self._lines) >= MOST_CAUSES:
                    self._lines.clear()
                    self._left_out.clear()
                self._lines[cause] = TokenBucket(1 / SECONDS_PER_LINE, self._burst)
            if not self._lines[cause].take(self._clock()):
                self._left_out[cause] = self._left_out.get(cause, 0) + 1
                return None
            left_out = self._left_out.pop(cause, 0)
            return f" {left_out} more like it were not logged." if left_out else ""

    @classmethod
    def forget(cls) -> None:
        """Begin again: in a forked child, in which nobody is left to let go of a lock, and with each test."""
        for limit in cls._all:
            limit._lines, limit._left_out, limit._lock = {}, {}, threading.Lock()


after_fork(LogLimit.forget)


# Tracebacks, by the function that has failed and the type of its error.
user_code = LogLimit(burst=10)
