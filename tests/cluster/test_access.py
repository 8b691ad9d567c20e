"""A log-in or log-out in one process is known at once in the others."""

from __future__ import annotations

import asyncio

from tests.cluster.conftest import StartPair
from tests.live_pages import LivePage, Person


async def test_a_log_out_in_one_process_closes_the_pages_in_another_at_once(start_pair: StartPair) -> None:
    a, b = start_pair(REAUTH_INTERVAL=0, GRACE=60)
    ada = Person(a, "ada")
    async with LivePage(b, "/document/1/", Person(b, "grace")) as grace:
        async with LivePage(a, "/document/1/", ada) as page:
            await grace.until(lambda: grace.online == 2)
            await asyncio.to_thread(ada.get, b, "/as/guest/?next=/counter/")
            await page.until(lambda: page.close_code == 4401)
            await grace.until(lambda: grace.online == 1)
        assert grace.close_code is None
