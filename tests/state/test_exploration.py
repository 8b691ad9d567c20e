"""Random walks of three processes through every fault there is: nobody is ever told what is not so."""

from __future__ import annotations

import logging
import os
import random
import time
from collections import Counter

import pytest

from .explorer import Make, explore
from .world import World

logger = logging.getLogger(__name__)

STEPS = 400
WALKS = 40
MINUTES = 10.0  # of a soak, or what SOAK_MINUTES says

# How often each thing may happen in a walk. Nobody may be told of a leave that is none, whatever of this does.
CALM = {
    **dict(open=40, meet=20, watch=6, close=25, update=10, relogin=6, unserve=5),
    **dict(job=5, rejob=4, finish=3, abandon=2, sweep=5),
    **dict(drop=10, dup=10, lose=8, timeout=8, flush=3, evict=2, outage=2, drain=2),
    **dict(tick=40, claim=20),
}
# A process that hangs for longer than a lease, one that dies, and a store from an old copy excuse it.
WILD = CALM | dict(crash=1, boot=3, pause=4, save=4, restore=2)

BUDGETS = {"calm": CALM, "wild": WILD}


def world(budget: str) -> Make:
    return lambda: World(BUDGETS[budget], "ABC", "gh", "uvw")


@pytest.mark.parametrize("budget", BUDGETS)
def test_no_walk_goes_wrong(budget: str) -> None:
    done: Counter[str] = Counter()
    found = explore(world(budget), range(WALKS), STEPS, done)
    assert found is None, found
    rare = set(BUDGETS[budget]) - set(done)
    assert not rare, f"the walks never came to {rare}"


@pytest.mark.soak
@pytest.mark.parametrize("budget", BUDGETS)
def test_no_walk_goes_wrong_for_minutes(budget: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = random.SystemRandom().randrange(10**9)
    end = time.monotonic() + float(os.environ.get("SOAK_MINUTES", MINUTES)) * 60 / len(BUDGETS)
    seed = first
    while time.monotonic() < end:
        found = explore(world(budget), [seed], STEPS)
        assert found is None, found
        seed += 1
    with capsys.disabled():
        print(f"\n{budget}: {seed - first} walks of {STEPS} steps, from seed {first}")
