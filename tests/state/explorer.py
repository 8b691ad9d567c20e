"""Random walks through a World, and the shortest trace of one that went wrong."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from .truth import Broken
from .world import Action, World

# What happens of its own accord is likelier than what people do, and that than faults.
WEIGHTS: dict[str, float] = {
    **dict(
        open=3,
        mount=3,
        peek=1,
        read=6,
        live=8,
        refuse=0.3,
        switch=0.5,
        glance=1,
        leave=2,
        meet=2,
        watch=1,
        close=3,
        update=1,
        relogin=0.5,
        unserve=1,
        back=5,
    ),
    **dict(job=0.5, rejob=0.3, finish=0.3, abandon=0.3, sweep=0.3, part=3),
    **dict(drop=1, dup=1, lose=1, timeout=1, pause=0.3, wake=1, crash=0.2, boot=1, drain=0.3),
    **dict(flush=0.3, evict=0.2, save=0.3, restore=0.3, outage=0.2, tick=30, deliver=3, late=2),
}

# Now and then nothing but what must happen before time goes on, with or without the rest of what may.
DUE = {"turn", "exec", "reply", "ask", "beat", "back"}
OPTIONAL = ["deliver", "tell", "part"]

Make = Callable[[], World]


class Found(NamedTuple):
    """A walk that broke an invariant."""

    why: str
    trace: Sequence[Action]

    def __str__(self) -> str:
        return f"{self.why}\n{len(self.trace)} steps: {written(self.trace)}"


def written(trace: Iterable[Action]) -> str:
    """A trace on one line; :func:`read` takes it back."""
    return " · ".join(" ".join(map(str, action)) for action in trace)


def read(text: str) -> list[Action]:
    return [
        tuple(int(word) if word.isdigit() else word for word in action.split(" "))
        for action in text.split(" · ")
    ]


def walk(
    make: Make,
    seed: int,
    steps: int,
    weights: Mapping[str, float] = WEIGHTS,
    done: Counter[str] | None = None,
) -> Found | None:
    """So many steps at random from a fresh world, and the rest that must follow."""
    rng = random.Random(seed)
    world, trace = make(), []
    moods = {kind: weight * rng.choice((0.2, 1, 3)) for kind, weight in weights.items()}
    patience = rng.choice((10, 30, 100))
    hurry: set[str] = set()
    try:
        for _ in range(steps):
            actions = world.actions()
            if not rng.randrange(patience):
                hurry = {*DUE, *rng.sample(OPTIONAL, rng.randrange(len(OPTIONAL) + 1))}
            if soon := [action for action in actions if action[0] in hurry]:
                actions = soon
            if ("tick",) in actions and hurry:
                actions, hurry = [("tick",)], hurry if rng.random() < 0.5 else set()
            if not actions:
                break
            (action,) = rng.choices(actions, [moods.get(str(action[0]), 10) for action in actions])
            trace.append(action)
            world.do(action)
        world.settle(rng)
    except Broken as broken:
        return Found(str(broken), trace)
    finally:
        if done is not None:
            done.update(["settle", *(str(action[0]) for action in trace)])
    return None


def replay(make: Make, trace: Iterable[Action]) -> str | None:
    """Do those of the actions that can happen, in this order, and return the invariant that breaks, or None."""
    world = make()
    try:
        for action in trace:
            if action in world.actions():
                world.do(action)
        world.settle()
    except Broken as broken:
        return str(broken)
    return None


def shrink(make: Make, found: Found, seconds: float = 30.0) -> Found:
    """The same invariant broken in fewer steps: leave out ever smaller pieces for as long as it still breaks."""
    invariant, end = found.why.split()[0], time.monotonic() + seconds
    trace, why, size = list(found.trace), found.why, len(found.trace)
    if not (replay(make, trace) or "").startswith(invariant):
        return found  # it takes the order in which everything came to rest
    while size and time.monotonic() < end:
        at, shorter = 0, False
        while at < len(trace) and time.monotonic() < end:
            rest = trace[:at] + trace[at + size :]
            broken = replay(make, rest)
            if broken and broken.startswith(invariant):
                trace, why, shorter = rest, broken, True
            else:
                at += size
        if not (shorter and size == 1):
            size //= 2
    return Found(why, trace)


def explore(make: Make, seeds: Iterable[int], steps: int, done: Counter[str] | None = None) -> str | None:
    """Walk from each seed; of the first walk that goes wrong, the seed and the shortest trace."""
    for seed in seeds:
        if found := walk(make, seed, steps, done=done):
            return f"seed {seed}: {shrink(make, found)}"
    return None
