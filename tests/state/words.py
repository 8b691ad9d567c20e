"""The times of the exploration, and what is on its way to the store or back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from djust_presence.state.keeper import Call, Timing
from djust_presence.state.replica import Replica

TTL, HOLD = 3, 3  # in ticks: a process that is not paused renews once in each
TIMING = Timing(ttl=TTL, renew=1, unheard=1, pause=1.5, backoff=0.01)
GRACE = 2
LAG = 10 * TTL  # for how long a process's lease must have expired before somebody without a lease claims it
OPS_PER_BATCH, REFS_PER_CLAIM = 3, 2


@dataclass(eq=False, slots=True)
class Request:
    """A call of a Keeper, or a snapshot for *replica*: on its way, or, once *executed*, its reply on the way back."""

    call: Call
    replica: Replica | None = None
    awaited: bool = True
    executed: bool = False
    answers: list[Any] = field(default_factory=list)
