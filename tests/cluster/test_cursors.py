"""Many pointers at once, against real servers, and beside what merges and sends and does nothing else."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from tests.cursor_load import BareServer, Mover, Outcome, run
from tests.servers import RedisServer, SiteServer, find_valkey_server

SITE = {"DJANGO_SETTINGS_MODULE": "tests.cluster.cursor_site"}


@pytest.fixture(scope="module")
def bare() -> Outcome:
    with BareServer() as site:
        return asyncio.run(run(site, "/", seconds=3))


@pytest.mark.parametrize(
    ("path", "redis", "most"), [("/board/1/", True, 2.6), ("/own/1/", False, 6.5)], ids=["default", "own"]
)
async def test_fifty_pointers_at_once_all_arrive_and_cost_little_more_than_sending_them(
    path: str, redis: bool, most: float, bare: Outcome
) -> None:
    with ExitStack() as stack:
        variables = dict(SITE)
        if redis:
            variables["REDIS_URL"] = stack.enter_context(RedisServer(find_valkey_server())).url()
        ours = await run(stack.enter_context(SiteServer(variables)), path, seconds=3)
    assert ours.complete, ours
    assert ours.frames <= 33, ours  # a second, to each page
    assert ours.p99 < 5, ours
    # On a busy machine either may have sent fewer frames: so by the frames, of the one that has sent more.
    assert ours.cpu / max(ours.frames, bare.frames) <= most * bare.cpu / bare.frames, (ours, bare)


async def test_a_slow_handler_of_one_is_waited_for_by_nobody_else() -> None:
    with SiteServer(SITE) as site:
        slow = Mover(site, "/slow/1/?name=slow", 99)
        async with slow:
            await slow.ready.wait()
            moving = asyncio.create_task(move_on(slow))
            outcome = await run(site, "/slow/1/", movers=10, seconds=4)
            moving.cancel()
    assert outcome.complete, outcome
    assert outcome.p50 < 0.75, outcome  # the slow handler runs all the time: else all would wait for a second


async def move_on(mover: Mover) -> None:
    while True:
        await mover.move()
        await asyncio.sleep(0.05)
