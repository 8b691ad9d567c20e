"""Two server processes, each with proxies of its own to the store, the layer and the browsers, and their pages."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Self

from tests.servers import RedisServer, SiteServer, find_valkey_server

from .pages import PATIENCE, Page
from .proxy import Proxy, hold_port
from .truth import DRAIN_GRACE, SETTLE, Truth

__all__ = ["Report", "Side", "World"]

# The last is asyncio's, of a socket whose path has just been broken.
EXPECTED = (
    r"Presence store: |Channel layer: |The channel layer did not take|Not Found: /static/"
    r"|socket\.send\(\) raised exception"
)
LOOKS = 0.1  # seconds between two looks at all pages
LATE = 3.0  # seconds more, for a busy machine


@dataclass
class Report:
    """The outcome of a run."""

    wrong: list[tuple[str, str]] = field(default_factory=list)  # leaves: told to whom, and of whom
    recovery: float = 0.0  # seconds after the fault until the last page was right
    amiss: str = ""  # what was wrong with a page at the end
    log: list[str] = field(default_factory=list)  # log entries of the servers that were not expected


class Side:
    """A server process and its proxies; browsers reach it through *web*."""

    def __init__(self, redis: RedisServer, presence: dict[str, Any]) -> None:
        self.store, self.layer = Proxy(redis.port), Proxy(redis.port)
        self._holder = hold_port()
        port = self._holder.getsockname()[1]
        self.web = Proxy(port)
        self.site = SiteServer(
            {
                "DJANGO_SETTINGS_MODULE": "tests.outages.site",
                "DB": "/dev/null",  # nothing in it is asked for
                "REDIS_URL": f"redis://127.0.0.1:{self.layer.port}/0",
                "PRESENCE": json.dumps(presence | {"LOCATION": f"redis://127.0.0.1:{self.store.port}/0"}),
            },
            port=port,
        )
        self.site.allow(EXPECTED)
        self.site.log.touch()

    @property
    def proxies(self) -> Sequence[Proxy]:
        return self.store, self.layer, self.web

    async def start(self) -> None:
        for proxy in self.proxies:
            await proxy.listen()
        await asyncio.to_thread(self.site.start)

    async def close(self) -> list[str]:
        """Stop the process; return what its log said that nobody expected."""
        await asyncio.to_thread(self.site.stop)
        unexpected = self.site.unexpected
        await asyncio.to_thread(self.site.close)
        self._holder.close()
        for proxy in self.proxies:
            await proxy.close()
        return unexpected


class World:
    """Everything of one run, which draws its random choices from *chance*."""

    def __init__(self, chance: Random, ttl: float = 6.0) -> None:
        self.chance, self.ttl = chance, ttl
        self.renewal = ttl / 6
        self.truth = Truth()
        self.report = Report()
        self.pages: set[Page] = set()
        self._holder = hold_port()
        self._redis = RedisServer(find_valkey_server(), self._holder.getsockname()[1])
        presence = {
            "LEASE_TTL": ttl,
            "DRAIN_GRACE": DRAIN_GRACE,
            "REAUTH_INTERVAL": 3600,
        }  # there are no log-ins
        self.a, self.b = self.sides = Side(self._redis, presence), Side(self._redis, presence)
        self._churn: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self._redis.start)
            began = time.monotonic()
            await asyncio.gather(*(side.start() for side in self.sides))
            self.start_took = time.monotonic() - began
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._churn:
            task.cancel()
        ended = await asyncio.gather(*self._churn, return_exceptions=True)
        await asyncio.gather(*(page.close() for page in self.pages))
        await self._end()
        for one in ended:
            if isinstance(one, Exception):
                raise one

    async def _end(self) -> None:
        for log in await asyncio.gather(*(side.close() for side in self.sides)):
            self.report.log += log
        await asyncio.to_thread(self._redis.close)
        self._holder.close()

    # People

    async def open(self, user: str, side: Side) -> Page:
        page = Page(self.truth, self.report.wrong, user, side.web.port)
        self.pages.add(page)
        await page.open()
        return page

    async def close(self, page: Page) -> None:
        await page.close()
        self.pages.discard(page)

    async def open_all(self, name: str, count: int, *sides: Side) -> list[Page]:
        """Open so many pages at once, each of another user, in turn on each of *sides*."""
        people = zip(range(count), itertools.cycle(sides), strict=False)
        return await asyncio.gather(*(self.open(f"{name}{n}", side) for n, side in people))

    async def populate(self, *, churning: Sequence[Side] = (), churn: bool = True) -> None:
        """Open 20 pages, some of which close and open all the time; the processes' renewals are out of step.

        Return when all pages are right and each process has renewed its lease.
        """
        await self.open("first", self.a)
        await asyncio.sleep(self.chance.uniform(0, self.renewal))
        await self.open("second", self.b)
        await self.open_all("stayer", 8 if churn else 18, *self.sides)
        if churn:
            sides = churning or self.sides
            self._go_on(*(self._visit(f"visitor{n}", sides) for n in range(4)))
            self._go_on(*(self._move(f"mover{n}", sides) for n in range(4)))
            self._go_on(*(self._open_tabs(f"stayer{n}", sides) for n in range(2)))
        await self.until_right()
        await asyncio.sleep(self.chance.uniform(1, 2) * self.renewal)

    def _go_on(self, *runs: Coroutine[Any, Any, None]) -> None:
        self._churn += map(asyncio.create_task, runs)

    async def _visit(self, name: str, sides: Sequence[Side]) -> None:
        for n in itertools.count():
            page = await self.open(f"{name}-{n}", self.chance.choice(sides))
            await asyncio.sleep(self.chance.uniform(0.5, 4))
            await self.close(page)
            await asyncio.sleep(self.chance.uniform(0, 2))

    async def _move(self, name: str, sides: Sequence[Side]) -> None:
        for side in itertools.cycle(sides):
            page = await self.open(name, side)
            await asyncio.sleep(self.chance.uniform(1, 5))
            await self.close(page)
            await asyncio.sleep(self.chance.uniform(0, 0.8))

    async def _open_tabs(self, name: str, sides: Sequence[Side]) -> None:
        while True:
            tab = await self.open(name, self.chance.choice(sides))
            await asyncio.sleep(self.chance.uniform(0.5, 3))
            await self.close(tab)
            await asyncio.sleep(self.chance.uniform(0, 3))

    # Faults

    @asynccontextmanager
    async def fault(self) -> AsyncIterator[None]:
        """Surround a fault; leaves of users who were away during it may be told until all pages must be right."""
        self.truth.fault_began, self.truth.excused_until = time.monotonic(), float("inf")
        yield
        self.truth.excused_until = time.monotonic() + self.ttl + LATE

    async def cut(self, *sides: Side, silent: bool, layer: bool) -> None:
        for side in sides:
            for proxy in (side.store, side.layer)[: 1 + layer]:
                await proxy.cut(silent=silent)

    async def restore(self, *sides: Side) -> None:
        for side in sides:
            for proxy in (side.store, side.layer):
                await proxy.restore()

    # What became of it

    def amiss(self, settle: float = SETTLE) -> str:
        """Return what is wrong with some page at this moment; empty if nothing is."""
        now = time.monotonic()
        must, may = self.truth.must_see(now, settle), self.truth.may_see(now)
        for page in self.pages:
            if page.shown is not None and (wrong := (must - page.shown) | (page.shown - may)):
                return f"The page of {page.user} shows {sorted(page.shown)}, which is wrong about {sorted(wrong)}."
        return ""

    async def until_right(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.amiss(settle=0):
                await asyncio.sleep(LOOKS)

    async def watch(self, seconds: float = 0.0) -> Report:
        """Look at all pages for a lease at least, or for *seconds*; then they must be right within `LATE`.

        A lease is longer than two renewals and a hold, after which every page is to show who is here.
        """
        began = time.monotonic()
        until = began + max(seconds, self.ttl)
        while (now := time.monotonic()) < until or (self.report.amiss and now < until + LATE):
            self.report.amiss = self.amiss()
            if self.report.amiss:
                self.report.recovery = now - began
            await asyncio.sleep(LOOKS)
        return self.report
