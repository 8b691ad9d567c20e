"""Slow handlers keep nobody else waiting."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

import pytest

from djust_presence.hosts.workers import WORKERS
from tests.live_pages import LivePage, Person
from tests.servers import SiteServer

SLOW = 2.0  # seconds that a handler takes


@pytest.mark.parametrize("busy", [1, WORKERS])
async def test_slow_handlers_hold_up_no_other_page(busy: int) -> None:
    variables = {
        "DJANGO_SETTINGS_MODULE": "tests.cluster.slow_site",
        "PRESENCE": '{"HEARTBEAT_INTERVAL": 0.2}',
        "SLOW": str(SLOW),
    }
    with SiteServer(variables) as site:
        async with AsyncExitStack() as stack:
            slow = [
                await stack.enter_async_context(LivePage(site, "/slow/", Person(site))) for _ in range(busy)
            ]
            other = await stack.enter_async_context(LivePage(site, "/slow/", Person(site)))
            leaver = LivePage(site, "/slow/", Person(site))
            await leaver.open()
            await other.until_online(busy + 2)
            for ref, page in enumerate(slow):
                await page.send(type="event", ref=ref, name="sleep", params={})
            pings = count_pings(other)
            await other.until(lambda: count_pings(other) > pings)  # a ping later, as many handlers run as can

            asked = time.monotonic()
            await leaver.close()
            await other.until_online(busy + 1)
            waited = time.monotonic() - asked
            assert waited < SLOW / 2, waited
            assert not [frame for page in slow for frame in page.frames if frame["type"] == "ack"]

            pings = count_pings(other)
            await other.until(lambda: count_pings(other) > pings + 1)
            for ref, page in enumerate(slow):
                await acknowledged(page, ref)


def count_pings(page: LivePage) -> int:
    return sum(frame["type"] == "ping" for frame in page.frames)


async def acknowledged(page: LivePage, ref: int) -> None:
    await page.until(lambda: {"type": "ack", "ref": ref} in page.frames)
