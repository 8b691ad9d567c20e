"""Three processes on a bad day: whatever happens, and in whatever order, nothing that must hold breaks."""

from __future__ import annotations

import logging
import os
import random
import time
from collections import Counter
from itertools import count, takewhile

import pytest

from .explorer import explore
from .world import World

logger = logging.getLogger(__name__)

PEOPLE = dict(
    **dict(open=25, mount=25, peek=6, read=60, refuse=3, glance=20, meet=20, watch=6),
    **dict(close=15, leave=15, update=10, relogin=6, switch=5, unserve=5, tick=40),
)
JOBS = dict(job=5, rejob=4, finish=3, abandon=2, sweep=5)
CALM = dict(drop=10, dup=10, lose=8, timeout=8, flush=3, evict=2, outage=2, drain=2)
EXCUSES = dict(crash=1, boot=3, pause=4, save=4, restore=2)
DAYS = {
    "calm": PEOPLE | JOBS | CALM,  # nobody may be told that somebody left who is still here
    "wild": PEOPLE | JOBS | CALM | EXCUSES,
    "quiet": PEOPLE | JOBS | dict(drain=2),
}
STEPS = 400


def world(day: str) -> World:
    return World(DAYS[day], processes="ABC", keys="gh", users="uvw")


@pytest.mark.parametrize("day", DAYS)
def test_random_walks_break_nothing(day: str) -> None:
    broken = explore(lambda: world(day), range(40), STEPS)
    assert broken is None, broken


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("day", ["calm", "wild"])
def test_random_walks_break_nothing_for_minutes(day: str) -> None:
    """SOAK_SECONDS for each kind of day; SOAK_SEED begins where another run did."""
    end = time.monotonic() + float(os.environ.get("SOAK_SECONDS", "300"))
    first = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(10**9)))
    done: Counter[str] = Counter()
    seeds = takewhile(lambda seed: time.monotonic() < end, count(first))
    broken = explore(lambda: world(day), seeds, STEPS, done)
    logger.info(
        "%s days from seed %d: %d steps, %s", day, first, sum(done.values()), dict(done.most_common())
    )
    assert broken is None, f"SOAK_SEED={first}: {broken}"
