"""Scenarios of outages: each is one run, whose random choices come from *chance*."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

from .truth import DRAIN_GRACE
from .world import Report, Side, World

__all__ = ["LONG", "SCENARIOS"]

AWAY = 0.05  # seconds each way to a Redis that is not on this network
RESTART = 12.0


async def outage(chance: Random, *, silent: bool, ttl: float = 6.0) -> Report:
    """Nobody reaches the store for about as long as a lease lasts."""
    async with World(chance, ttl) as world:
        await world.populate()
        async with world.fault():
            await world.cut(*world.sides, silent=silent, layer=chance.random() < 0.5)
            await asyncio.sleep(ttl + chance.uniform(-3, 3))
            await world.restore(*world.sides)
        return await world.watch()


async def answer_lost(chance: Random) -> Report:
    """The first renewal after an outage runs late, and its answer is lost; the other process is back a bit later."""
    async with World(chance) as world:
        await world.populate(churn=False)  # so that a renewal is the first call after the outage
        first, second = chance.sample(world.sides, 2)
        async with world.fault():
            await world.cut(*world.sides, silent=False, layer=False)
            await asyncio.sleep(world.ttl + chance.uniform(0.5, 2))
            await world.restore(first)
            calls = itertools.count()
            first.store.loses = lambda request: b"EVALSHA" in request and next(calls) == 0
            await asyncio.sleep(chance.uniform(0.7, 1.1))
            await world.restore(second)
        return await world.watch()


async def cold_process(chance: Random) -> Report:
    """25 pages open on a process that was just started while 30 people come on the other, all far from Redis."""
    async with World(chance) as world:
        for side in world.sides:
            side.store.delay = side.layer.delay = AWAY
        await world.open("first", world.a)

        async def come(name: str, side: Side, earliest: float, latest: float) -> None:
            await asyncio.sleep(chance.uniform(earliest, latest))
            await world.open(name, side)

        comers = (come(f"comer{n}", world.a, 0.5, 2) for n in range(30))
        lookers = (come(f"looker{n}", world.b, 0, 1.5) for n in range(25))
        await asyncio.gather(*comers, *lookers)
        return await world.watch()


async def sockets_broken(chance: Random) -> Report:
    """A proxy before a web server breaks 100 sockets at once, refuses everybody for a second, and is back."""
    async with World(chance) as world:
        await world.open_all("watcher", 10, world.b)
        await world.open_all("page", 100, world.a)
        await world.until_right()
        async with world.fault():
            await world.a.web.cut(silent=False)
            await asyncio.sleep(1)
            await world.a.web.restore()
        return await world.watch(10)


async def slow_restart(chance: Random) -> Report:
    """A server is stopped cleanly, and is back after twelve seconds; DRAIN_GRACE is more than LEASE_TTL."""
    async with World(chance) as world:
        await world.populate(churning=[world.b])
        async with world.fault():
            began = time.monotonic()
            await asyncio.to_thread(world.a.site.stop)
            await asyncio.sleep(began + RESTART - world.start_took - time.monotonic())
            await asyncio.to_thread(world.a.site.start)
        return await world.watch(began + DRAIN_GRACE + 2 * world.renewal - time.monotonic())


async def dead_path(chance: Random) -> Report:
    """The connections of one process to the store are dead without an error; new ones work."""
    async with World(chance) as world:
        await world.populate()
        async with world.fault():
            await asyncio.sleep(chance.uniform(0, world.renewal))
            chance.choice(world.sides).store.kill_paths()
        return await world.watch(world.ttl + 2 * world.renewal)


async def moves_in_outage(chance: Random) -> Report:
    """Five people close a page on one server and open one on the other while the store is away."""
    async with World(chance) as world:
        await world.populate()
        pages = await world.open_all("wanderer", 5, *world.sides)
        await asyncio.sleep(2)

        async def move(n: int) -> None:
            await asyncio.sleep(chance.uniform(0, 2))
            await world.close(pages[n])
            await asyncio.sleep(chance.uniform(0, 0.8))
            await world.open(pages[n].user, other(world, n))

        async with world.fault():
            await world.cut(*world.sides, silent=chance.random() < 0.5, layer=chance.random() < 0.5)
            await asyncio.gather(asyncio.sleep(chance.uniform(4, 8)), *map(move, range(5)))
            await world.restore(*world.sides)
        return await world.watch()


def other(world: World, n: int) -> Side:
    return world.sides[(n + 1) % 2]


async def replies_lost(chance: Random) -> Report:
    """Every tenth reply of the store is lost for 20 seconds."""
    async with World(chance) as world:
        await world.populate()
        async with world.fault():
            for side in world.sides:
                calls = itertools.count(chance.randrange(10))
                side.store.loses = lambda request, calls=calls: next(calls) % 10 == 9  # type: ignore[misc]
                side.store.loses_silently = chance.random() < 0.5
            await asyncio.sleep(20)
            await world.restore(*world.sides)
        return await world.watch()


Scenario = Callable[[Random], Awaitable[Report]]

SCENARIOS: dict[str, Scenario] = {
    "outage, refused": partial(outage, silent=False),
    "outage, silent": partial(outage, silent=True),
    "answer lost": answer_lost,
    "cold process": cold_process,
    "sockets broken": sockets_broken,
    "slow restart": slow_restart,
    "dead path": dead_path,
    "moves in outage": moves_in_outage,
    "replies lost": replies_lost,
}
LONG: dict[str, Scenario] = {
    "outage at 30 s, refused": partial(outage, silent=False, ttl=30.0),
    "outage at 30 s, silent": partial(outage, silent=True, ttl=30.0),
}
