"""A server that has lost single keys of a group: processes write the group again, and nobody is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from djust_presence.backends.redis import RedisBackend
from djust_presence.signals import presence_joined, presence_left, presence_updated
from djust_presence.state.records import SCHEMA
from tests.tracker.conftest import QUICK, MakeBackend, StartProcess
from tests.until import until

pytestmark = pytest.mark.redis

PREFIX = f"{{djp}}:{SCHEMA}:"
RENEWAL = QUICK["lease_ttl"] / 6


@pytest.fixture
def make_backend(valkey_url: str) -> MakeBackend:
    return lambda: RedisBackend(valkey_url)


@pytest.fixture
def client(valkey_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(valkey_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def signals() -> Iterator[list[str]]:
    told: list[str] = []

    def receive(presence: dict[str, Any], **kwargs: Any) -> None:
        told.append(presence["id"])

    for signal in (presence_joined, presence_left, presence_updated):
        signal.connect(receive)
    yield told
    for signal in (presence_joined, presence_left, presence_updated):
        signal.disconnect(receive)


@pytest.mark.parametrize("lost", ["B", "L", "S", "V", "I:", "r:room", "u:room", "t:room", "o:room"])
async def test_lost_users_are_listed_again_and_nobody_is_told(
    start: StartProcess, client: Any, signals: list[str], lost: str
) -> None:
    a, b = start(), start()
    watcher = a.open(None)
    tabs = a.open("ada"), b.open("ada"), b.open("bob")
    for process, session in ((a, watcher), (b, tabs[2])):
        await process.shows(session, 2)
        await process.has_connections(session, "ada", 2)
    await until(lambda: len(signals) == 2)
    names = [name for name in client.scan_iter() if name.startswith(PREFIX + lost)]
    assert client.delete(*names) > 0

    tabs[1].connection.end()  # ada has another tab, on the other process
    await a.has_connections(watcher, "ada", 1)
    await b.has_connections(tabs[2], "ada", 1)
    await until(lambda: set(client.hgetall(f"{PREFIX}u:room")) == {"ada", "bob"})
    await until(lambda: client.hlen(f"{PREFIX}r:room") == 2)
    await asyncio.sleep(4 * RENEWAL)  # time enough for every reaping
    assert set(client.hgetall(f"{PREFIX}u:room")) == {"ada", "bob"}
    for process, session in ((a, watcher), (b, tabs[2])):
        assert session.count() == 2
        assert not [one for one in process.pages.comings(session) if one.startswith("leave")]
    assert len(signals) == 2

    tabs[0].connection.end()  # and goes as ever
    await a.shows(watcher, 1)
    await until(lambda: signals[2:] == ["ada"])
