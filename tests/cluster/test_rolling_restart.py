"""Server processes that are restarted one after the other, and pages that come back: nobody has been away."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.cluster.conftest import StartPair
from tests.live_pages import LastingPage, Person
from tests.servers import RedisServer, SiteServer

TABS = 50  # on two servers; every other pair are guests, each with a session of their own
DOCUMENT = "rolling"
LEASE_TTL = 20
DRAIN_GRACE = 60  # more than a restart on a busy machine, and the four seconds after which pages try again

Sites = tuple[SiteServer, SiteServer]


def make_people(site: SiteServer) -> list[str]:
    """The names of as many users as there are tabs."""
    names = [f"user{n}" for n in range(TABS)]
    site.manage(
        "shell",
        "-c",
        "from django.contrib.auth.models import User\n"
        f"User.objects.bulk_create(User(username=name) for name in {names!r})",
    )
    return names


def page_of(sites: Sites, n: int, name: str) -> LastingPage:
    """The page of person number *n* on one of *sites*, and on the other if that one is down."""
    person = Person(sites[0], "guest" if n // 2 % 2 else name)
    return LastingPage(sites if n % 2 else sites[::-1], f"/document/{DOCUMENT}/", person)


async def until_seen(page: LastingPage, flash: str) -> None:
    await page.until(lambda: flash in page.flashes)


@contextlib.asynccontextmanager
async def opened(sites: Sites) -> AsyncIterator[Sequence[LastingPage]]:
    """A page of everybody, half of them on each server; all of them have seen the last one come."""
    names = await asyncio.to_thread(make_people, sites[0])
    pages = await asyncio.gather(
        *(asyncio.to_thread(page_of, sites, n, name) for n, name in enumerate(names))
    )
    *others, last = pages
    async with contextlib.AsyncExitStack() as stack:
        await asyncio.gather(*(stack.enter_async_context(page) for page in others))
        for page in others:
            await page.until_online(TABS - 1)
        await stack.enter_async_context(last)
        for page in pages:
            await until_seen(page, f"{names[-1]} joined")
        yield pages


async def until_back(page: LastingPage, returns: int) -> None:
    await page.until(lambda: page.returns > returns)
    await page.until_online(TABS)


async def restart(site: SiteServer, pages: Sequence[LastingPage], *, kill: bool = False) -> None:
    """Stop *site*, and start it again; returns when each of its *pages* is back somewhere."""
    returns = {page: page.returns for page in pages if page.site is site}
    await asyncio.to_thread(site.kill if kill else site.stop)
    await asyncio.to_thread(site.start)
    for page, before in returns.items():
        await until_back(page, before)


async def until_reaped(redis: RedisServer) -> None:
    """Let the grace of all clean stops be over, and wait until every tab is there once, and nothing else."""
    leases = redis.command_line("HGETALL", "{djp}:2:S")
    for lease in re.findall(r"(\S+)\r\n\$\d+\r\n\S+:draining\r\n", leases):
        redis.command_line("ZADD", "{djp}:2:L", "1", lease)
    async with asyncio.timeout(5 * LEASE_TTL):
        while redis.command_line("HLEN", f"{{djp}}:2:r:document:{DOCUMENT}") != f":{TABS}\r\n":
            await asyncio.sleep(0.1)


async def roll(sites: Sites, redis: RedisServer, kills: Sequence[bool]) -> None:
    """Restart both, once for each of *kills*, while people watch who must not notice."""
    async with opened(sites) as pages:
        before = {page: (len(page.flashes), len(page.counts)) for page in pages}
        for kill in kills:
            for site in sites:
                await restart(site, pages, kill=kill)
        await until_reaped(redis)
        for page, (flashes, counts) in before.items():
            assert page.flashes[flashes:] == []
            assert set(page.counts[counts:]) <= {TABS}
        assert sum(page.returns for page in pages) >= TABS * len(kills)
        # A leave, which none of them has seen, is what all of them can see.
        *others, last = pages
        await last.close()
        for page in others:
            await page.until_online(TABS - 1)
            await until_seen(page, f"user{TABS - 1} left")
            assert len(page.flashes) == before[page][0] + 1


@pytest.mark.timeout(400)
@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_nobody_sees_a_rolling_restart(start_pair: StartPair, redis: RedisServer, server: str) -> None:
    times = {"LEASE_TTL": LEASE_TTL, "DRAIN_GRACE": DRAIN_GRACE}
    await roll(start_pair(server, **times), redis, [False])


@pytest.mark.soak
@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_nobody_sees_many_rolling_restarts_nor_crashes(
    start_pair: StartPair, redis: RedisServer, server: str
) -> None:
    times = {"LEASE_TTL": LEASE_TTL, "DRAIN_GRACE": DRAIN_GRACE}
    await roll(start_pair(server, **times), redis, [False, True] * 5)
