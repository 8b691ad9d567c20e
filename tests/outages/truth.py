"""Who is really here, by what the pages themselves did."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from dataclasses import dataclass

__all__ = ["DRAIN_GRACE", "GRACE", "LOST_GRACE", "Stay", "Truth"]

# Seconds that somebody stays present after a close, after a connection that broke, and after a server's clean stop.
GRACE, LOST_GRACE, DRAIN_GRACE = 2.0, 10.0, 20.0
MARGIN = 0.5  # seconds before the end of a grace from which a leave may be told
SETTLE = 2.0  # seconds after which everybody's page must show that somebody came or left
REAPING = 2.0  # seconds more, if it takes another process to find out


@dataclass(eq=False)
class Stay:
    """One connection of somebody: from when its socket was asked for, when its page was live, and until when."""

    asked: float
    since: float = math.inf
    until: float = math.inf
    grace: float = math.inf

    def live(self) -> None:
        self.since = min(self.since, time.monotonic())

    def end(self, code: int) -> None:
        """The connection ended with this close code. Only the first end counts."""
        if self.until == math.inf:
            self.until = time.monotonic()
            self.grace = {1000: GRACE, 1001: GRACE, 1012: DRAIN_GRACE}.get(code, LOST_GRACE)

    @property
    def sure_until(self) -> float:
        return self.until + self.grace - MARGIN

    @property
    def maybe_until(self) -> float:
        return self.until + self.grace + SETTLE + REAPING * (self.grace == DRAIN_GRACE)


class Truth:
    """The stays of everybody, and which leaves they make wrong. Times are of ``time.monotonic()``."""

    def __init__(self) -> None:
        self._stays: dict[str, list[Stay]] = defaultdict(list)
        self.fault_began = self.excused_until = -math.inf

    def comes(self, user: str) -> Stay:
        stay = Stay(time.monotonic())
        self._stays[user].append(stay)
        return stay

    def is_wrong(self, user: str) -> bool:
        """Return whether it is wrong to tell somebody at this moment that *user* left.

        It is not if the user was away a grace ago or later. A leave of somebody who was away during a fault may also
        be told late, until *excused_until*.
        """
        now = time.monotonic()
        first = min((stay.since for stay in self._stays[user]), default=math.inf)
        earliest = now - GRACE
        if now < self.excused_until:
            earliest = min(earliest, self.fault_began)
        return first <= now and self._here(user, max(first, earliest), now)

    def _here(self, user: str, since: float, until: float) -> bool:
        """Return whether the user was here all the time."""
        for stay in sorted(self._stays[user], key=lambda stay: stay.since):
            if stay.since <= since:
                since = max(since, stay.sure_until)
        return since >= until

    def must_see(self) -> set[str]:
        """Return who has been here for long enough that everybody must see it."""
        now = time.monotonic()
        return {user for user in self._stays if self._here(user, now - SETTLE, now)}

    def may_see(self) -> set[str]:
        now = time.monotonic()
        return {user for user, stays in self._stays.items() if any(now <= one.maybe_until for one in stays)}
