"""The cost of a site-wide counter whose text does not change: ``python -m benchmarks.counter``."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack, ExitStack

from tests.feed_load import SITE, BareFeed, Client, loop_seconds, ticket
from tests.servers import RedisServer, SiteServer, find_valkey_server

__all__ = ["run"]

HEARTBEATS = (
    60.0  # seconds, a whole number of both intervals at which sockets are pinged: the server's and ours
)


async def idle(site: BareFeed, pages: int, seconds: float) -> float:
    """Return the share of a processor that as many sockets take of which nobody says anything."""
    async with AsyncExitStack() as stack:
        for _ in range(pages):
            await stack.enter_async_context(Client(site))
        return await share(site, seconds)


async def share(site: SiteServer, seconds: float) -> float:
    cpu = loop_seconds(site.pid)
    await asyncio.sleep(seconds)
    return (loop_seconds(site.pid) - cpu) / seconds


async def run(
    watching: SiteServer, elsewhere: SiteServer, pages: int, people: int, seconds: float
) -> tuple[float, float, int]:
    """Let *pages* of one process watch the number of *people* of another, where twenty a second come and go.

    Returns the shares of a processor that the process of the pages takes before and during that, and the frames that they were sent.
    """
    async with AsyncExitStack() as stack:
        taking_part = ticket(elsewhere, "site")
        for number in range(people):
            client = await stack.enter_async_context(Client(elsewhere))
            await client.say(type="hello", visitor=f"{number:022}")
            await client.join(taking_part, count=True)
        only_watching = ticket(watching, "site", watch=True)
        clients = []
        for _ in range(pages):
            clients.append(await stack.enter_async_context(Client(watching)))
            await clients[-1].join(only_watching, count=True)
        await asyncio.sleep(2)
        alone = await share(watching, seconds)
        known = sum(len(client.frames) for client in clients)
        comers = [await stack.enter_async_context(Client(elsewhere)) for _ in range(20)]
        cpu = loop_seconds(watching.pid)
        ends = asyncio.get_running_loop().time() + seconds
        turns = 0
        while asyncio.get_running_loop().time() < ends:
            for number, comer in enumerate(comers):
                if turns % 2:
                    await comer.say(type="leave", room=taking_part["room"])
                else:
                    await comer.say(type="hello", visitor=f"{people + number:022}")
                    await comer.say(type="join", **taking_part, want={})
                await asyncio.sleep(1 / 20)
            turns += 1
        used = (loop_seconds(watching.pid) - cpu) / (asyncio.get_running_loop().time() - ends + seconds)
        return alone, used, sum(len(client.frames) for client in clients) - known


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--people", type=int, default=1020)
    parser.add_argument("--seconds", type=float, default=HEARTBEATS)
    options = parser.parse_args()
    with ExitStack() as stack:
        url = stack.enter_context(RedisServer(find_valkey_server())).url()
        watching, elsewhere = (stack.enter_context(SiteServer(SITE | {"REDIS_URL": url})) for _ in range(2))
        with BareFeed() as bare:
            sockets = await idle(bare, options.pages, options.seconds)
        alone, used, frames = await run(watching, elsewhere, **vars(options))
        print(
            f"{100 * used:.2f} % of a processor ({100 * alone:.2f} % with nobody coming, {100 * sockets:.2f} % for as "
            f"many bare sockets), {frames} frames to {options.pages} pages"
        )


if __name__ == "__main__":
    asyncio.run(main())
