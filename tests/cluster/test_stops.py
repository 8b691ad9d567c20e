"""Servers that are stopped while something runs for a page."""

from __future__ import annotations

import asyncio

import pytest

from djust_presence.background import LONGEST_STOP
from tests.live_pages import LivePage, Person
from tests.servers import SiteServer


@pytest.mark.parametrize("milliseconds", [1_500, 60_000])
async def test_daphne_stops_though_the_thread_of_a_mount_waits_for_its_loop(milliseconds: int) -> None:
    variables = {"DJANGO_SETTINGS_MODULE": "tests.cluster.mount_site", "SYNC_ONLY": "1"}
    with SiteServer(variables, server="daphne") as site:
        site.allow("was never retrieved|was destroyed but it is pending|exception was never retrieved")
        async with LivePage(site, f"/open/{milliseconds}/", Person(site)):
            await asyncio.sleep(0.5)
            assert site.process
            site.process.terminate()
            await asyncio.to_thread(site.process.wait, LONGEST_STOP + 10)
