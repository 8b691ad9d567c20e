"""The exploration can fail: with any one rule switched off in a copy of the code, it finds a trace that breaks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pytest

from djust_presence.state import audience, keeper, outbox, replica, store, submissions

from .explorer import WEIGHTS, Found, Make, read, replay, shrink, walk
from .pieces import REAL, Patch, Pieces, patched
from .process import Process
from .world import World

logger = logging.getLogger(__name__)

WALKS, STEPS = 400, 60
EVEN = dict.fromkeys(WEIGHTS, 10.0) | {
    "tick": 30.0,
    "late": 2.0,
}  # in so small a world nothing needs to be rare


class Impatient(Process):
    """Writes whatever is wished at once, with other writes still unanswered."""

    @property
    def waiting(self) -> bool:
        calls = (one for one in self.net if one.awaited and not one.replica)
        return any(one.call.batch is None or not one.call.batch.ops for one in calls)


class Rule(NamedTuple):
    """A rule switched off, in a world that is small enough for a few walks to notice.

    What is too rare for that has its shortest *trace* here; long runs must find one by themselves.
    """

    start: str
    budget: Mapping[str, int]
    breaks: str
    patches: Sequence[Patch] = ()
    process: type[Process] = Process
    trace: str = ""

    def make(self, pieces: Pieces, process: type[Process]) -> Make:
        class Small(World):
            def process(self, name: str) -> Process:
                return process(self, name)

        names = "ABC" if " C " in self.start else "AB"
        return lambda: Small(self.budget, names, "g", "uvw", pieces, read(self.start) if self.start else ())


ALONE = "open A g u · watch B g"
BOTH = "open A g u · open B g v"
WATCHED = "watch B g"
TABS = "open A g u · open B g u · watch B g"

NO_SEQ = [
    Patch(store, "if held is None or seq > held.seq + 1:", "if held is None:"),
    Patch(store, "if seq <= held.seq:", "if False:"),
    Patch(store, "if held is None or not seq <= held.seq <= seq + ahead:", "if held is None:"),
]

RULES = {
    "a lease is opened, and only then renewed": Rule(
        BOTH,
        dict(pause=1, tick=6),
        "I11",
        [
            Patch(
                store,
                "if held is None or not seq <= held.seq <= seq + ahead:",
                "if held is None:\n            self.leases[lease] = held = Lease(now, 3.0, 0, 0, seq)\n        if not seq <= held.seq <= seq + ahead:",
            )
        ],
    ),
    "one batch at a time, and each write runs once": Rule(
        WATCHED,
        dict(open=1, close=1),
        "I1",
        [
            *NO_SEQ,
            Patch(
                outbox,
                "        if self._batch is None:\n",
                "        if self._batch is None or self._batch.ops:\n            self._batch = None\n",
            ),
            Patch(outbox, "current, self._batch = self._batch is batch,", "current, self._batch = True,"),
        ],
        Impatient,
    ),
    "a write that comes late has no effect": Rule(
        WATCHED, dict(open=1, close=1, timeout=1, tick=3), "I1", NO_SEQ
    ),
    "a lease notices that the store has lost writes": Rule(
        ALONE, dict(save=1, restore=1, close=1), "I11", NO_SEQ
    ),
    "a Change names the tag before it": Rule(
        BOTH,
        dict(save=1, restore=1, update=3),
        "I11",
        [
            Patch(replica, " and change.prev == self.place.tag", ""),
            Patch(replica, "or change.place == self.place", "or change.place.version == self.place.version"),
            Patch(replica, "return place == self.place if", "return place[:2] == self.place[:2] if"),
        ],
    ),
    "a reaper spares a user who hangs on another lease by now": Rule(
        "open A g u · open A g v · open A g w · watch B g",
        dict(pause=1, tick=6),
        "I",
        [Patch(store, " and group.rows[ref].lease == lease:", ":")],
    ),
    "a user who is missing after a flush is held": Rule(
        BOTH,
        dict(flush=1, tick=2),
        "I1",
        [Patch(replica, "self.settling = now + self.hold  # a flush", "pass  # a flush")],
    ),
    "no leave is let out while others may still come back": Rule(
        TABS,
        dict(flush=1, close=1, tick=1),
        "I1",
        [Patch(replica, "elif self.settling > NEVER:  # their", "elif False:  # their")],
        trace="tick · turn A · exec A 0 · flush · turn B · exec B 0 · reply B 0 · turn B · exec B 0 · "
        "reply B 0 · turn B · close B 0",
    ),
    "a hold begins again with a late renewal": Rule(
        BOTH,
        dict(flush=1, outage=1, tick=3),
        "I12",
        [Patch(keeper, "replica.restart_hold(now)", "pass")],
        trace="tick · turn A · flush · exec A 0 · reply A 0 · turn A · exec A 0 · reply A 0 · turn A · "
        "exec A 0 · reply A 0 · ask A g · exec A 0 · reply A 0 · outage",
    ),
    "a hold ends with a renewal on time": Rule(
        "open B g u · open C g u · watch A g · flush",
        dict(outage=1, close=1, tick=1),
        "I12",
        [
            Patch(replica, "elif self.settling > NEVER:  # their", "elif self.settling > now:  # their"),
            Patch(replica, "_fold(self, change: Change)", "_fold(self, change: Change, now: float)"),
            Patch(replica, "return self._fold(change)", "return self._fold(change, now)"),
        ],
        trace="tick · turn B · exec B 0 · reply B 0 · turn B · exec B 0 · reply B 0 · turn B · "
        "exec B 0 · reply B 0 · deliver A 0 · ask A g · exec A 0 · reply A 0 · close B 0 · turn B · "
        "outage · exec B 0 · reply B 0",
    ),
    "a snapshot that Changes have overtaken does not count": Rule(
        ALONE,
        dict(open=1, close=1, tick=1),
        "I13",
        [Patch(replica, "if self.ready and request.moves != self._moves and", "if False and")],
        trace="open A g v · turn A · exec A 0 · reply A 0 · turn A · tick · turn B · exec B 0 · reply B 0 · "
        "turn B · exec B 0 · reply B 0 · turn B · turn B · ask B g · exec B 0 · deliver B 0 · "
        "close A 1 · turn A · exec A 0 · reply A 0 · turn A · exec A 0 · reply A 0 · deliver B 0",
    ),
    "a snapshot counts even if its version is lower": Rule(
        BOTH,
        dict(save=1, restore=1, close=1, update=3),
        "I11",
        [
            Patch(
                replica,
                "        before, members = self._members,",
                "        if self.ready and 0 <= version <= self.place.version:\n            return []\n"
                "        before, members = self._members,",
            )
        ],
    ),
    "a user taken in a past life of the group joins again": Rule(
        ALONE,
        dict(evict=1),
        "I",
        [Patch(outbox, "if place is None or place.epoch != self._taken[ref].epoch:", "if False:")],
    ),
    "a user who may not be there after all joins again": Rule(
        WATCHED,
        dict(open=1, lose=1, evict=1),
        "I1",
        [Patch(outbox, "if told or left:  # it ran once", "if False:  # it ran once")],
    ),
    "a meta is given back with the time at which it was said": Rule(
        TABS,
        dict(flush=1, update=1, tick=1),
        "I11",
        [Patch(outbox, "said = taken.said if taken and taken.wish == wish else None", "said = None")],
    ),
    "a meta that has changed is not given back, but said": Rule(
        TABS,
        dict(flush=1, update=2, tick=1),
        "I11",
        [Patch(outbox, "taken.said if taken and taken.wish == wish", "taken.said if taken")],
    ),
    "a repeated meta is not said again": Rule(
        TABS, dict(lose=1, update=2), "I11", [Patch(outbox, "said = LONG_AGO", "pass")]
    ),
    "a record has the meta that was said last": Rule(
        TABS,
        dict(update=1, close=1),
        "I11",
        [Patch(store, "self.rows[refs[-1][1]].meta", "self.rows[refs[0][1]].meta")],
    ),
    "a clean stop takes out nobody who can come back": Rule(
        ALONE,
        dict(drain=1, tick=1),
        "I12",
        [Patch(keeper, "self.outbox.retire(leaving)", "self.outbox.retire(tuple(self.outbox.wanted))")],
    ),
    "a second tab is a Change": Rule(
        ALONE,
        dict(open=1),
        "I3",
        [Patch(store, "if was != group.users.get(user)", "if not (was and group.users.get(user))")],
    ),
    "a page is not told what happened before it came": Rule(
        ALONE,
        dict(open=2),
        "I4",
        [Patch(audience, "        self._share()\n        looked", "        looked")],
    ),
    "a mount is not told what happened before it looked": Rule(
        ALONE,
        dict(open=1, peek=1),
        "I4",
        [Patch(audience, "        self._share()\n        self.m", "        self.m")],
    ),
    "a mount is told what happens after it looked": Rule(
        ALONE,
        dict(open=1, peek=1, read=2),
        "I",
        [Patch(audience, "for viewer in (*self.viewers, *self.mounting):", "for viewer in self.viewers:")],
    ),
    "members of the first snapshot are no news": Rule(
        "",
        dict(open=1, peek=1),
        "I4",
        [
            Patch(
                audience,
                "        if not first:\n            return self._gather(steps)",
                "        self._gather(steps)",
            )
        ],
    ),
    "a page that was rendered before its group was known is refreshed": Rule(
        ALONE, dict(peek=1, read=1, unserve=1, close=1), "I14", [Patch(audience, " or viewer.blind", "")]
    ),
    "a presence is submitted when the others are known": Rule(
        "", dict(open=1), "I4", [Patch(submissions, "wanted and viewer.served and", "wanted and")]
    ),
    "a presence is confirmed when the replica has it": Rule(
        WATCHED,
        dict(open=2, drop=1),
        "I17",
        [Patch(submissions, " and (audience is None or audience.shows(submitted))", "")],
    ),
    "a late process reaps nobody": Rule(
        BOTH,
        dict(outage=1, tick=1),
        "I1",
        [
            Patch(
                store, "own not in self.leases or self.leases[own].expiry <= now", "own not in self.leases"
            ),
            Patch(store, "if not held.unheard:", "if True:"),
            Patch(keeper, "self._claiming = self._lets_leave(now)", "self._claiming = True"),
        ],
    ),
    "an emptied replica remembers where it stood": Rule(
        WATCHED,
        dict(open=1, close=1, dup=1),
        "I13",
        [
            Patch(
                replica,
                "        self._ended += 1\n        return",
                "        self._ended += 1\n"
                "        if not self._members:\n            self.place = NOWHERE\n        return",
            )
        ],
    ),
    "a replica remembers the lives that are over": Rule(
        "watch B g · open A g u · close A 0",
        dict(open=2, close=2, dup=1),
        "I13",
        [Patch(replica, " and change.place.epoch not in self._over", "")],
        trace="open B g w · turn B · close B 1 · exec B 0 · reply B 0 · open B g w · turn B · exec B 0 · reply B 0 · "
        "close B 1 · turn B · exec B 0",
    ),
    "renewals compare": Rule(
        ALONE,
        dict(close=1, drop=1),
        "I",
        [Patch(replica, "return self._suspect is not None", "self._suspect = None\n        return False")],
    ),
}


def find(rule: Rule, walks: int) -> Found | None:
    make = rule.make(patched(rule.patches), rule.process)
    for seed in range(walks):
        if found := walk(make, seed, STEPS, EVEN):
            return shrink(make, found, 10)
    return None


def assert_found(name: str, found: Found | None) -> None:
    rule = RULES[name]
    assert found, f"nothing goes wrong without the rule that {name}"
    assert found.why.startswith(rule.breaks)
    assert replay(rule.make(REAL, Process), found.trace) is None
    logger.info("without the rule that %s: %s", name, found)


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if not rule.trace])
def test_walks_go_wrong_without_the_rule_that(name: str) -> None:
    assert_found(name, find(RULES[name], WALKS))


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.trace])
def test_a_known_trace_goes_wrong_without_the_rule_that(name: str) -> None:
    rule = RULES[name]
    why = replay(rule.make(patched(rule.patches), rule.process), read(rule.trace))
    assert_found(name, Found(why, read(rule.trace)) if why else None)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.trace])
def test_long_runs_go_wrong_without_the_rule_that(name: str) -> None:
    assert_found(name, find(RULES[name], 50_000))
