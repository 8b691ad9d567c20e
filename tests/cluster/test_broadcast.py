"""Broadcasts of a job to the pages of all servers."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from tests.cluster.test_cluster import Sites
from tests.live_pages import LivePage, Person
from tests.servers import ROOT

JOB = """
import django
django.setup()
from djust_presence import presence
presence.broadcast("document:1", "imported", {"rows": 3})
"""


async def test_a_broadcast_of_a_job_reaches_pages_in_two_processes(sites: Sites) -> None:
    a, b = sites
    async with (
        LivePage(a, "/document/1/", Person(a, "ada")) as ada,
        LivePage(b, "/document/1/", Person(b, "grace")) as grace,
        LivePage(b, "/document/2/", Person(b, "alan")) as elsewhere,
    ):
        for page in (ada, grace):
            await page.until_online(2)
        environment = a.environment() | {"PYTHONPATH": f"{ROOT}:{ROOT / 'example_project'}"}
        await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", JOB], cwd=ROOT, env=environment, check=True
        )
        await ada.until(lambda: imported(ada))
        await grace.until(lambda: imported(grace))
        assert imported(ada) == imported(grace) == [{"rows": 3}]
        assert imported(elsewhere) == []


def imported(page: LivePage) -> list[object]:
    return [frame["payload"] for frame in page.frames if frame.get("event") == "imported"]
