"""The cost of presence: counted on the wire, and at the backend."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import pytest
import pytest_asyncio
from django.test import override_settings

from djust_presence import CursorTracker
from djust_presence.backends.memory import MemoryBackend
from djust_presence.backends.redis import RedisBackend
from djust_presence.bus import LayerBus
from djust_presence.cursors import live_cursors_of
from djust_presence.state.records import Op, Renewal, Reply, Snapshot
from djust_presence.tracker.writer import PAUSE
from tests.monitor import Monitor
from tests.servers import RedisServer, find_valkey_server
from tests.tracker.conftest import Process, StartProcess, processes, settled
from tests.tracker.test_cursors import drawn, move, open_page
from tests.until import until


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Valkey of this test's own, so that every command on it is counted."""
    with RedisServer(find_valkey_server()) as server:
        yield server


@pytest.fixture
def monitor(server: RedisServer) -> Iterator[Monitor]:
    with Monitor(server) as monitor:
        yield monitor


@pytest_asyncio.fixture
async def start_there(server: RedisServer) -> AsyncIterator[StartProcess]:
    layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [server.url()]}}
    with override_settings(CHANNEL_LAYERS={"default": layer}):
        async with processes(lambda: RedisBackend(server.url())) as start:
            yield start


class Calls(MemoryBackend):
    """Counts the round trips that there would be, each a little late, as over a network."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    async def awrite(self, lease: str, ops: Sequence[Op]) -> list[Reply]:
        self.calls["write"] += 1
        await asyncio.sleep(0.001)
        return await super().awrite(lease, ops)

    async def aopen(self, lease: str, ttl: float, unheard: float = 0, pause: float = 0) -> str:
        self.calls["open"] += 1
        await asyncio.sleep(0.001)
        return await super().aopen(lease, ttl, unheard, pause)

    async def arenew(self, lease: str, seq: int, keys: Sequence[str], ahead: int = 0) -> Renewal:
        self.calls["renew"] += 1
        return await super().arenew(lease, seq, keys, ahead)

    async def asnapshots(self, keys: Sequence[str]) -> list[Snapshot]:
        self.calls["snapshots"] += 1
        return await super().asnapshots(keys)


async def said_all(process: Process) -> None:
    """Return once its bus has nothing left to do."""
    bus = process.tracker.bus
    assert isinstance(bus, LayerBus)
    await asyncio.wait_for(bus._idle.wait(), 30)


@pytest.mark.parametrize("size", [10, 1000])
async def test_a_join_or_a_leave_is_one_script_and_one_message_whatever_the_size(
    size: int, monitor: Monitor, start_there: StartProcess
) -> None:
    a = start_there(lease_ttl=300.0)
    sessions = [a.open(f"u{n}") for n in range(size)]
    await a.shows(sessions[-1], size)
    await until(lambda: settled(sessions))
    await said_all(a)
    await monitor.atake()
    one = a.open("one more")
    await a.shows(one, size + 1)
    await until(lambda: "join one more" in a.pages.comings(sessions[0]))
    assert await monitor.atake() == {"EVALSHA": 1, "PUBLISH": 1}
    one.untrack()
    await until(lambda: "leave one more" in a.pages.comings(sessions[0]))
    assert await monitor.atake() == {"EVALSHA": 1, "PUBLISH": 1}


async def test_those_who_come_in_a_rush_share_messages(monitor: Monitor, start_there: StartProcess) -> None:
    a = start_there(lease_ttl=300.0)
    first = a.open("first")
    await until(lambda: settled([first]))
    await said_all(a)
    await monitor.atake()
    began = time.monotonic()
    for n in range(50):
        a.open(f"u{n}")
        await asyncio.sleep(0.005)  # longer than a write takes
    took = time.monotonic() - began
    await a.shows(first, 51)
    await said_all(a)
    commands = await monitor.atake()
    # The first is written at once, and the last as much as a pause after it came.
    assert 1 < commands["PUBLISH"] <= took / PAUSE + 3
    assert commands == {"EVALSHA": commands["EVALSHA"], "PUBLISH": commands["PUBLISH"]}
    assert commands["PUBLISH"] < commands["EVALSHA"] <= 50


async def test_a_reload_within_the_grace_costs_nothing(monitor: Monitor, start_there: StartProcess) -> None:
    a = start_there(lease_ttl=300.0, grace=60.0)
    watcher = a.open(None)
    page = a.open("ada", meta='{"name":"Ada"}')
    await a.shows(watcher, 1)
    await until(lambda: settled([watcher, page]))
    await said_all(a)
    await monitor.atake()
    for _ in range(3):
        page.connection.end()
        page = a.open("ada", meta='{"name":"Ada"}')
        assert page.count() == 1
        assert page.members()["ada"].connections == 1
    await asyncio.sleep(0.3)
    await said_all(a)
    assert await monitor.atake() == {}
    assert any(page in hop for hop in a.pages.hops)  # it was rendered before it went on as the other
    page.connection.end()
    page = a.open("ada", meta='{"name":"Ada","typing":true}')
    await until(lambda: "update ada" in a.pages.told.get(watcher, []))
    assert await monitor.atake() == {"EVALSHA": 1, "PUBLISH": 1}
    assert a.pages.comings(watcher) == ["join ada"]
    tab = a.open("ada", meta='{"name":"Ada"}')  # this is another connection, for which nobody waits
    await a.has_connections(watcher, "ada", 2)
    tab.connection.end()
    page.connection.end()
    page = a.open("ada", meta='{"name":"Ada","typing":true}')  # goes on as the one with the same meta
    await asyncio.sleep(0.3)
    assert page.members()["ada"].connections == 2
    assert await monitor.atake() == {"EVALSHA": 1, "PUBLISH": 1}


@pytest.mark.parametrize("movers", [2, 50])
async def test_cursors_are_one_message_a_tick_and_one_write_a_second_whatever_their_number(
    movers: int, server: RedisServer, monitor: Monitor, start_there: StartProcess
) -> None:
    a, b = start_there(lease_ttl=300.0), start_there(lease_ttl=300.0)
    pages = [open_page(a, f"u{n}", rate=20) for n in range(movers)]
    watcher = open_page(b, None)
    await b.shows(watcher, movers)
    await a.shows(pages[-1], movers)
    await until(lambda: all(live_cursors_of(page)._elsewhere for page in pages))  # type: ignore[union-attr]
    cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": server.url(1)}
    with override_settings(CACHES={"default": cache}):
        await monitor.atake()
        began = time.monotonic()
        for n in range(100):
            for page in pages:
                move(page, n, n)
            await asyncio.sleep(0.015)
        await until(lambda: drawn(b, watcher) == {f"u{n}": [[99, 99]] for n in range(movers)})
        commands = await monitor.atake()
        seconds = time.monotonic() - began
        await until(lambda: len(CursorTracker.get_cursors("board")) == movers)
    assert 5 <= commands.pop("PUBLISH") <= 20 * seconds + 6  # with what is said of looking, and at renewals
    assert commands.pop("EVALSHA", 0) + commands.pop("EVAL", 0) + commands.pop("SCRIPT", 0) <= seconds + 2
    assert not commands


async def test_reads_in_a_served_group_ask_nobody(monitor: Monitor, start_there: StartProcess) -> None:
    a = start_there(lease_ttl=300.0)
    sessions = [a.open(f"u{n}") for n in range(20)]
    await a.shows(sessions[-1], 20)
    await until(lambda: settled(sessions))
    await said_all(a)
    await monitor.atake()
    for session in sessions:
        assert session.count() == len(session.members()) == 20
    assert not await monitor.atake()


async def test_idle_users_cost_a_process_its_renewals_and_nothing_else(
    monitor: Monitor, start_there: StartProcess
) -> None:
    a = start_there(lease_ttl=3.0)
    sessions = [a.open(f"u{n}", f"room {n % 5}") for n in range(100)]
    await a.shows(sessions[-1], 20)
    await until(lambda: settled(sessions))
    await asyncio.sleep(0.6)
    await monitor.atake()
    began = time.monotonic()
    await asyncio.sleep(3)
    seen = await monitor.atake()
    took = time.monotonic() - began
    assert set(seen) <= {"EVALSHA", "HMGET"}
    # Every half second a renewal with a look at some groups, and their places, and a claim.
    assert 3 <= seen["HMGET"] <= 2 * took + 2
    assert seen["EVALSHA"] <= 3 * seen["HMGET"] + 1


async def test_200_joins_at_once_are_a_few_round_trips_and_refreshes() -> None:
    backend = Calls()
    async with processes(lambda: backend) as start:
        a = start(lease_ttl=30.0)
        sessions = [a.open(f"u{n}") for n in range(200)]
        await until(lambda: all(len(a.pages.comings(session)) == 200 for session in sessions))
        assert {session.count() for session in sessions} == {200}
        assert sum(backend.calls.values()) <= 12
        refreshes = Counter(session for hop in a.pages.hops for session in hop)
        assert set(refreshes) == set(sessions)
        assert max(refreshes.values()) <= 3
        assert all(len(hop) <= 20 for hop in a.pages.hops)
        for session in sessions:
            assert sorted(a.pages.comings(session)) == sorted(f"join u{n}" for n in range(200))


async def test_pages_that_come_one_after_the_other_are_refreshed_at_a_bounded_rate() -> None:
    backend = Calls()
    async with processes(lambda: backend) as start:
        a = start(lease_ttl=30.0)
        watcher = a.open(None)
        await a.shows(watcher, 0)
        began = a.tracker.clock.now
        for n in range(100):
            a.open(f"u{n}")
            await asyncio.sleep(0.005)
        await a.shows(watcher, 100)
        await until(lambda: len(a.pages.comings(watcher)) == 100)
        took = a.tracker.clock.now - began
        refreshes = sum(watcher in hop for hop in a.pages.hops)
        assert refreshes <= took / 0.05 + 3
        assert a.pages.comings(watcher) == [f"join u{n}" for n in range(100)]


async def test_renewal_with_5000_groups_is_one_round_trip(
    monitor: Monitor, start_there: StartProcess, record_property: Callable[[str, object], None]
) -> None:
    a = start_there(lease_ttl=300.0)
    watchers = [a.open(None, f"group {n}") for n in range(5000)]
    await until(lambda: all(session.served for session in watchers), 30)
    await said_all(a)
    outbox, keys = a.tracker._outbox, list(a.tracker.groups)
    assert outbox.lease
    await a.tracker.backend.arenew(outbox.lease, outbox.seq, [])  # the server learns the script
    await a.tracker.backend.arenew(outbox.lease, outbox.seq, keys)  # so that the script is known
    await monitor.atake()
    began = time.perf_counter()
    renewal = await a.tracker.backend.arenew(outbox.lease, outbox.seq, keys)
    record_property("seconds", time.perf_counter() - began)
    assert len(renewal.places) == 5000
    assert await monitor.atake() == {"EVALSHA": 2, "HMGET": 5}
