"""A server process that is told to stop while its Redis accepts connections and never answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.backends.relay import Relay
from tests.live_pages import LivePage, Person
from tests.servers import RedisServer, SiteServer, find_valkey_server

UNHEARD = "Could not tell the presence store of this process's end"
LONGEST_STOP = 8.0  # seconds: the servers' own pauses, and a few seconds of ours


class Case(NamedTuple):
    server: str
    variables: dict[str, str] = {}
    before: float = 0.0  # seconds between the silence and the stop


class Stop(NamedTuple):
    took: float
    log: str


CASES = {
    "uvicorn": Case("uvicorn"),
    "uvicorn-as-documented": Case("uvicorn", {"UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "10"}),
    "uvicorn-in-a-hurry-later": Case("uvicorn", {"UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "1"}, 4.0),
    "daphne-later": Case("daphne", before=4.0),
}


async def stop(case: Case) -> Stop:
    with RedisServer(find_valkey_server()) as redis, Relay(redis.port) as relay:
        site = SiteServer(
            {"REDIS_URL": relay.url, "DJANGO_SETTINGS_MODULE": "tests.site_settings", **case.variables},
            server=case.server,
        )
        site.allow(UNHEARD)
        site.allow(r"Presence store: |Channel layer: |The channel layer did not take")
        site.allow(r"Cancel \d+ running task")
        with site:
            async with LivePage(site, "/document/1/", Person(site, "ada")) as ada:
                await ada.until(lambda: redis.command_line("HLEN", "{djp}:2:r:document:1") == ":1\r\n")
                await asyncio.sleep(0.5)  # the process has heard of it too
                relay.swallows = True
                await asyncio.sleep(case.before)
                began = time.monotonic()
                await asyncio.to_thread(site.stop, 30)
                took = time.monotonic() - began
            return Stop(took, site.log.read_text())


@pytest.fixture(scope="module")
def stops() -> Iterator[dict[str, Future[Stop]]]:
    """The stops of all cases at the same time: they mostly wait."""
    with ThreadPoolExecutor(len(CASES)) as pool:
        yield {name: pool.submit(asyncio.run, stop(case)) for name, case in CASES.items()}


@pytest.mark.parametrize("case", CASES)
def test_a_stop_while_redis_swallows_everything_is_short_and_said_once(
    stops: dict[str, Future[Stop]], case: str
) -> None:
    took, log = stops[case].result()
    assert "Traceback" not in log
    assert log.count(UNHEARD) == 1
    assert took < LONGEST_STOP
