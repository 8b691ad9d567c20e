"""A server process that is told to stop while its Redis accepts connections and never answers."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.backends.relay import Relay
from tests.live_pages import LivePage, Person
from tests.servers import RedisServer, SiteServer

UNHEARD = "The presence store did not hear of this process's end"
LONGEST_STOP = 8.0  # seconds: the servers' own pauses, and a few seconds of ours


@pytest.mark.parametrize(
    ("server", "variables", "before"),
    [
        ("uvicorn", {}, 0.0),
        ("uvicorn", {"UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "10"}, 0.0),
        ("uvicorn", {"UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "1"}, 4.0),
        ("daphne", {}, 4.0),
    ],
    ids=["uvicorn", "uvicorn-as-documented", "uvicorn-in-a-hurry-later", "daphne-later"],
)
async def test_a_stop_while_redis_swallows_everything_is_short_and_said_once(
    redis: RedisServer, tmp_path: Path, server: str, variables: dict[str, str], before: float
) -> None:
    with Relay(redis.port) as relay:
        site = SiteServer(
            {
                "DB": str(tmp_path / "db.sqlite3"),
                "REDIS_URL": relay.url,
                "DJANGO_SETTINGS_MODULE": "tests.site_settings",
                **variables,
            },
            server=server,
        )
        site.allow(UNHEARD)
        site.allow(r"Presence store: |Channel layer: |The channel layer did not take")
        site.allow(r"Cancel \d+ running task")
        with site:
            async with LivePage(site, "/document/1/", Person(site, "ada")) as ada:
                await ada.until(lambda: redis.command_line("HLEN", "{djp}:1:r:document:1") == ":1\r\n")
                await asyncio.sleep(0.5)  # the process has heard of it too
                relay.swallows = True
                await asyncio.sleep(before)
                began = time.monotonic()
                await asyncio.to_thread(site.stop, 30)
                took = time.monotonic() - began
            log = site.log.read_text()
        assert "Traceback" not in log
        assert log.count(UNHEARD) == 1
        assert took < LONGEST_STOP
