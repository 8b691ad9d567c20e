"""Nobody who is still here is reported gone, whenever and in whatever order store and processes lose each other."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Sequence
from itertools import count

import pytest

from djust_presence.state import keeper, outbox, store

from .pieces import REAL, Patch, patched
from .timed import explore

logger = logging.getLogger(__name__)

HISTORIES = 120
FLEETS = [dict(processes=3, pollers=3), dict(processes=2, pollers=0), dict(processes=1, pollers=4)]


@pytest.mark.parametrize("fleet", FLEETS, ids=str)
def test_outages_make_nobody_leave(fleet: dict[str, int]) -> None:
    assert explore(REAL, range(HISTORIES), **fleet) is None


RULES: dict[str, Sequence[Patch]] = {
    "after an outage everybody has their turn before anybody is claimed": [
        Patch(store, "if not held.unheard:\n            return True", "return True")
    ],
    "a store is heard from without a pause": [
        Patch(store, "now - self.heard > held.pause", "self.heard < 0")
    ],
    "leaves wait for a renewal on time after an outage": [
        Patch(keeper, "return now >= self._leaves_at", "return True")
    ],
    "a leave that was held up by an outage is void": [
        Patch(outbox, "op._replace(by=LONG_AGO) if isinstance(op, Leave) else op", "op"),
        Patch(keeper, "by = None if self._ahead is None else now + self._ahead + SLACK", "by = None"),
    ],
    "a void leave is made again": [
        Patch(outbox, "if left and reply.status is not Status.OK:", "if False:"),
    ],
    "a replica that differs is looked at again": [Patch(keeper, "replica.doubt()", "pass")],
    "a lost reply is no loss": [
        Patch(keeper, "self._replicas[key].ask_anew()", "pass"),
        Patch(keeper, "replica.doubt()", "pass"),
    ],
    "leases of dead processes are claimed": [Patch(keeper, "self._claiming = self._lets_leave(now)", "pass")],
}


@pytest.mark.parametrize("rule", RULES)
def test_histories_go_wrong_without_the_rule_that(rule: str) -> None:
    found = explore(patched(RULES[rule]), range(400))
    assert found, f"nothing goes wrong without the rule that {rule}"
    logger.info("without the rule that %s: %s", rule, found)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("fleet", FLEETS, ids=str)
def test_outages_make_nobody_leave_for_minutes(fleet: dict[str, int]) -> None:
    """SOAK_SECONDS for each fleet; SOAK_SEED begins where another run did."""
    end = time.monotonic() + float(os.environ.get("SOAK_SECONDS", "300"))
    first = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(10**9)))
    for seed in count(first):
        if time.monotonic() > end:
            logger.info("%d histories from seed %d", seed - first, first)
            return
        found = explore(REAL, range(seed, seed + 1), **fleet)
        assert found is None, found
