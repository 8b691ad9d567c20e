"""The exploration can fail: with any one rule switched off in a copy of the code, it finds a trace that breaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from djust_presence.state import outbox, replica, store
from djust_presence.state.records import Change

from .explorer import WEIGHTS, Found, shrink, walk
from .world import Action, Pieces, Process, World

Patch = tuple[ModuleType, str, str]  # of a module's text: what stands there, and what is to


def patched(*patches: Patch) -> Pieces:
    """The pieces, made from the text of their modules after each of *patches*."""
    texts = {module: _text(module) for module in (store, replica, outbox)}
    for module, before, after in patches:
        assert texts[module].count(before) == 1, f"{module.__name__} has not exactly one {before!r}"
        texts[module] = texts[module].replace(before, after)
    names: dict[str, Any] = {}
    for module, text in texts.items():
        scope = {"__name__": module.__name__, "__package__": module.__package__}
        exec(compile(text, f"patched {module.__name__}", "exec"), scope)
        names |= scope
    return Pieces(names["Store"], names["Replica"], names["Outbox"])


def _text(module: ModuleType) -> str:
    assert module.__file__
    with open(module.__file__, encoding="utf-8") as file:
        return file.read()


class Impatient(Process):
    """Sends what is wished at once, whatever is still unanswered."""

    @property
    def busy(self) -> bool:
        return any(one.awaited and one.verb != "snapshot" and not (one.verb == "write" and one.what.ops) for one in self.net)


class Tidy(Process):
    """Takes everybody out in a clean stop."""

    def drain(self, leaving: list[str]) -> None:
        super().drain(list(self.outbox.wanted))


class Hasty(Process):
    """Lets a session be told what it knew when it came."""

    def tell(self, key: str) -> None:
        if not self.attaching:
            super().tell(key)

    attaching = False

    def attach(self, session: Any) -> None:
        self.attaching = True
        super().attach(session)
        self.attaching = False


class Undertaker(Process):
    """Buries the dead as soon as it is back, however late."""

    def answered(self, lease: str, renewal: Any) -> None:
        super().answered(lease, renewal)
        self.may_reap = self.outbox.lease is not None


class Eager(Process):
    """Tells the store of a session before it knows who is there."""

    def attach(self, session: Any) -> None:
        super().attach(session)
        if session.user:
            self.outbox.want(session.ref, outbox.Wish(session.key, session.user, session.meta))


class Forgetful(Process):
    """Does not give others their time again when it, and so perhaps they, could not reach the store."""

    def restart_holds(self) -> None:
        pass


def with_process(kind: type[Process]) -> type[World]:
    class Different(World):
        def process(self, name: str) -> Process:
            return kind(self, name)

    return Different


class Rule(NamedTuple):
    """A rule switched off, and the bounds in which the exploration has to notice."""

    start: Sequence[Action]
    budget: Mapping[str, int]
    invariant: str
    patches: Sequence[Patch] = ()
    world: type[World] = World
    processes: str = "AB"


ONE_WATCHED: Sequence[Action] = (("open", "A", "g", "u"), ("watch", "B", "g"))
TWO: Sequence[Action] = (("open", "A", "g", "u"), ("open", "B", "g", "v"))
WATCHED: Sequence[Action] = (("watch", "B", "g"),)

NO_SEQ: Sequence[Patch] = (
    (store, "if held is None or seq > held.seq + 1:", "if held is None:"),
    (store, "if seq <= held.seq:", "if False:"),
    (store, "if held is None or held.seq != seq:", "if held is None:"),
)
NO_TAGS: Sequence[Patch] = (
    (replica, " and change.prev == self.place.tag", ""),
    (replica, "change.place.version < self.place.version or change.place == self.place", "change.place.version <= self.place.version"),
    (replica, "same = place == self.place if place", "same = place[:2] == self.place[:2] if place"),
)

RULES: dict[str, Rule] = {
    "a renewal opens the lease anew": Rule(
        TWO,
        dict(pause=1, tick=6, claim=3),
        "I11",
        [(store, "        if held is None or held.seq != seq:", "        if held is None:\n            self.leases[lease] = held = Lease(now, 3.0, seq)\n        if held.seq != seq:")],
    ),
    "writes have no numbers, and no order": Rule(
        WATCHED,
        dict(open=1, close=1),
        "I11",
        [
            *NO_SEQ,
            (outbox, "if self._batch is None:\n", "if self._batch is None or self._batch.ops:\n            self._batch = None\n"),
            (outbox, "current, self._batch = self._batch is batch, None if self._batch is batch else self._batch", "current, self._batch = True, None if self._batch is batch else self._batch"),
        ],
        with_process(Impatient),
    ),
    "writes have no numbers: a late join": Rule(WATCHED, dict(open=1, close=1, timeout=1), "I11", NO_SEQ),
    "writes have no numbers: an old copy of the store": Rule(
        ONE_WATCHED, dict(save=1, restore=1, close=1), "I11", NO_SEQ
    ),
    "Changes have no tags": Rule(TWO, dict(save=1, restore=1, update=3), "I11", NO_TAGS),
    "a reaper goes by the lease's index alone": Rule(
        (("open", "A", "g", "u"), ("open", "A", "g", "v"), ("open", "A", "g", "w"), ("watch", "B", "g")),
        dict(pause=1, tick=6, claim=3),
        "I",
        [(store, "if group and ref in group.rows and group.rows[ref].lease == lease:", "if group and ref in group.rows:")],
    ),
    "nobody is held": Rule(TWO, dict(flush=1, tick=2), "I12", [(replica, "self.settling = now + self.hold\n        self._held", "pass\n        self._held")]),
    "a snapshot always wins": Rule(
        ONE_WATCHED,
        dict(open=1, close=1, tick=1),
        "I13",
        [(replica, "if self.ready and request.moves != self._moves and version < self.place.version:", "if False:")],
    ),
    "only a newer snapshot wins": Rule(
        TWO,
        dict(save=1, restore=1, close=1, update=3),
        "I11",
        [(replica, "        shown = self.shown()\n        if (", "        if self.ready and 0 <= version <= self.place.version:\n            return []\n        shown = self.shown()\n        if (")],
    ),
    "nobody repairs a group that the store lost": Rule(
        ONE_WATCHED, dict(evict=1), "I", [(outbox, "if place is None or place.epoch != self._taken[ref].epoch:", "if False:")]
    ),
    "a clean stop takes everybody out": Rule(ONE_WATCHED, dict(drain=1, tick=1), "I12", world=with_process(Tidy)),
    "a second tab is no Change": Rule(
        ONE_WATCHED,
        dict(open=1),
        "I3",
        [(store, "if was != group.users.get(user)", "if not (was and group.users.get(user))")],
    ),
    "a session is told what happened before it came": Rule(ONE_WATCHED, dict(open=2), "I4", world=with_process(Hasty)),
    "a leave is let out while others may still come back": Rule(
        (("open", "A", "g", "u"), ("open", "B", "g", "u"), ("watch", "B", "g")),
        dict(flush=1, close=1, tick=1),
        "I12",
        [(replica, "elif last and self.settling > now:", "elif False:")],
    ),
    "who comes late reaps": Rule(
        TWO,
        dict(outage=1, claim=2, tick=1),
        "I12",
        [(store, "if own is not None and (own not in self.leases or self.leases[own].expiry <= now):", "if False:")],
        with_process(Undertaker),
    ),
    "an emptied replica forgets where it stood": Rule(
        WATCHED,
        dict(open=1, close=1, dup=1),
        "I13",
        [(replica, "        return self._steps(before)\n", "        if not self.members:\n            self.place = NOWHERE\n        return self._steps(before)\n")],
    ),
    "renewals compare nothing": Rule(
        ONE_WATCHED, dict(close=1, drop=1), "I", [(replica, "return self._suspect is not None", "self._suspect = None\n        return False")]
    ),
    "a session is told to the store before it knows who is there": Rule(
        (), dict(open=1), "I4", world=with_process(Eager)
    ),
    "holds are not begun again": Rule(TWO, dict(flush=1, outage=1, tick=3, claim=2), "I12", world=with_process(Forgetful)),
}


EVEN = dict.fromkeys(WEIGHTS, 10.0) | {"tick": 30.0, "late": 2.0}  # in so small a world nothing needs to be rare


def find(rule: Rule, walks: int) -> Found | None:
    pieces = patched(*rule.patches)

    def make() -> World:
        return rule.world(rule.budget, rule.processes, "g", "uvw", pieces, rule.start)

    for seed in range(walks):
        if found := walk(make, seed, 60, EVEN):
            return shrink(make, found, 10)
    return None


@pytest.mark.parametrize("name", RULES)
def test_without_the_rule_a_walk_goes_wrong(name: str) -> None:
    rule = RULES[name]
    found = find(rule, 2000)
    assert found, "no walk went wrong"
    print(f"{name}: {found}")
    assert found.why.startswith(rule.invariant)
    # The same steps are harmless with all rules on.
