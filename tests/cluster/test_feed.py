"""Ordinary pages of several server processes, in one group with each other."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.cluster.conftest import StartPair, StartSite
from tests.feed_load import BareFeed, Client, run, ticket

SETTINGS = "tests.cluster.feed_settings"
VISITORS = ["v" * 22, "w" * 22, "x" * 22]


async def opened(stack: AsyncExitStack, client: Client, visitor: str) -> Client:
    await stack.enter_async_context(client)
    await client.say(type="hello", visitor=visitor)
    return client


def people(client: Client) -> set[str]:
    """The ids of those whom the page shows."""
    shown: set[str] = set()
    for frame in client.frames:
        if frame["type"] == "state":
            shown = {one["id"] for one in frame["members"]}
        shown |= {one["id"] for one in frame.get("joins", [])}
        shown -= set(frame.get("leaves", []))
    return shown


async def until_people(client: Client, number: int) -> None:
    async with asyncio.timeout(30):
        while len(people(client)) != number:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_pages_of_two_processes_see_and_hear_each_other(server: str, start_pair: StartPair) -> None:
    a, b = start_pair(server, settings=SETTINGS)
    issued = ticket(a, "site")
    async with AsyncExitStack() as stack:
        one, two = [
            await opened(stack, Client(site), visitor)
            for site, visitor in zip((a, b), VISITORS, strict=False)
        ]
        # The ticket is for the host that a browser names, which behind a balancer is the same.
        await one.join(issued)
        await two.join(ticket(b, "site"))
        await until_people(one, 2)
        await one.say(type="send", room=issued["room"], event="wave", payload={"n": 1})
        heard = await two.until("room-event", event="client-wave")
        assert (heard["payload"], heard["from"]) == ({"n": 1}, (await one.until("joined"))["me"])
        await two.say(type="update", room=issued["room"], meta={"typing": True})
        async with asyncio.timeout(10):
            while not any(one.get("typing") for frame in one.frames for one in frame.get("updates", [])):
                await asyncio.sleep(0.02)
        assert a.unexpected == b.unexpected == []


async def test_pages_of_a_process_that_was_killed_go_with_its_lease(start_pair: StartPair) -> None:
    a, b = start_pair(settings=SETTINGS)
    async with AsyncExitStack() as stack:
        one = await opened(stack, Client(a), VISITORS[0])
        two = await opened(stack, Client(b), VISITORS[1])
        await one.join(ticket(a, "site"))
        await two.join(ticket(b, "site"))
        await until_people(one, 2)
        b.kill()
        await until_people(one, 1)
        assert [len(frame.get("leaves", [])) for frame in one.frames if frame["type"] == "diff"] == [0, 1]


async def test_nobody_sees_a_restart(start_site: StartSite) -> None:
    a, b = start_site(settings=SETTINGS), start_site(settings=SETTINGS)
    async with AsyncExitStack() as stack:
        one = await opened(stack, Client(a), VISITORS[0])
        await one.join(ticket(a, "site"))
        two = await opened(stack, Client(b), VISITORS[1])
        await two.join(ticket(b, "site"))
        await until_people(one, 2)
        known = len(one.frames)
        b.stop()
        again = start_site(port=b.port, settings=SETTINGS)
        two = await opened(stack, Client(again), VISITORS[1])
        await two.join(ticket(again, "site"))
        await until_people(two, 2)
        await asyncio.sleep(1)
        assert one.frames[known:] == []


async def test_telling_many_pages_costs_little_more_than_a_bare_loop(start_site: StartSite) -> None:
    """Measured: 1.0 to 1.2 times as long until the last page knows; the rest is for machines that are busy."""
    with BareFeed() as site:
        bare = await run(site, pages=300)
    feed = await run(start_site(settings=SETTINGS), pages=300)
    assert feed.last < 3 * bare.last
    assert feed.memory < 64 * 1024
