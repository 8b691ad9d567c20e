"""The people who are really here, by what their own pages did."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

__all__ = ["DRAIN_GRACE", "GRACE", "LOST_GRACE", "Stay", "Truth"]

# Seconds that somebody stays present after a close, after a connection that broke, and after a server's clean stop.
GRACE, LOST_GRACE, DRAIN_GRACE = 2.0, 10.0, 20.0
MARGIN = 1.0  # seconds before the end of a grace by which somebody must be back: the server has to write it
SETTLE = 2.0  # seconds after which everybody's page must show that somebody came or left
REAPING = 2.0  # seconds more, if it takes another process to find out


@dataclass(eq=False)
class Stay:
    """One connection of somebody: since when its page is live, until when, and how long they stay present after it."""

    since: float = math.inf
    until: float = math.inf
    grace: float = math.inf

    def live(self, now: float) -> None:
        self.since = now

    def end(self, code: int, now: float) -> None:
        """The connection ended with this close code. Only the first end counts."""
        if self.until == math.inf:
            self.until = now
            self.grace = {1000: GRACE, 1001: GRACE, 1012: DRAIN_GRACE}.get(code, LOST_GRACE)

    @property
    def sure_until(self) -> float:
        return self.until + self.grace - MARGIN

    @property
    def maybe_until(self) -> float:
        return self.until + self.grace + SETTLE + REAPING * (self.grace == DRAIN_GRACE)


class Truth:
    """The stays of everybody, and which leaves they make wrong. Times are seconds of one clock."""

    def __init__(self) -> None:
        self._stays: dict[str, list[Stay]] = defaultdict(list)
        self.fault_began = self.excused_until = -math.inf

    def comes(self, user: str) -> Stay:
        stay = Stay()
        self._stays[user].append(stay)
        return stay

    def is_wrong(self, user: str, now: float) -> bool:
        """Return whether it is wrong to tell somebody that *user* left.

        It is right if they were away at this moment or up to a grace before, and until ``excused_until`` if they were
        away at any time since ``fault_began``.
        """
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

    def must_see(self, now: float, settle: float = SETTLE) -> set[str]:
        """Return who has been here for *settle* seconds, so that everybody must see it."""
        return {user for user in self._stays if self._here(user, now - settle, now)}

    def may_see(self, now: float) -> set[str]:
        return {user for user, stays in self._stays.items() if any(now <= one.maybe_until for one in stays)}
