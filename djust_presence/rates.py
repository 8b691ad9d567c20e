"""Limits on rates: token buckets, and log lines that others can cause at any rate."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any
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
    """A limit on log lines that others can cause at any rate: *burst* lines of each cause, then one in ten seconds.

    For any thread. *clock* gives seconds. With *by_error* each type of error is a cause of its own.
    """

    _all: WeakSet[LogLimit] = WeakSet()

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, burst: int = 1, *, by_error: bool = False
    ) -> None:
        self._clock = clock
        self._burst = burst
        self._by_error = by_error
        self._lines: dict[tuple[object, ...], TokenBucket] = {}
        self._left_out: dict[tuple[object, ...], int] = {}
        self._lock = threading.Lock()
        self._all.add(self)

    def log(
        self, log: Callable[..., object], text: str, *args: object, of: object = None, **kwargs: Any
    ) -> None:
        """Log *text*, filled in with *args*, by *log*, a method of a logger, unless it is left out.

        The cause is *text* and *of*, a part of the code such as a function, never anything that somebody has sent.
        """
        error = (kwargs.get("exc_info") or sys.exc_info()[1]) if self._by_error else None
        if (left_out := self.line(text, of, type(error))) is not None:
            log(f"{text}%s", *args, left_out, stacklevel=2, **kwargs)

    def line(self, *cause: object) -> str | None:
        """Return the end of a line: empty, or the number of lines left out before it; None to leave it out too."""
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
        """Start empty: in a forked child, where no thread would release a lock, and with each test."""
        for limit in cls._all:
            limit._lines, limit._left_out, limit._lock = {}, {}, threading.Lock()


after_fork(LogLimit.forget)


# Tracebacks, by the function that has failed and the type of its error.
user_code = LogLimit(burst=10, by_error=True)
