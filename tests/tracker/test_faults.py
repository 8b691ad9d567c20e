"""Trackers when a process, the store or the messages between them fail."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio
import redis
from django.test import override_settings

from djust_presence.backends.memory import MemoryBackend
from djust_presence.backends.redis import RedisBackend
from djust_presence.backends.registry import get_backend
from djust_presence.bus import Bus
from djust_presence.conf import Settings
from djust_presence.state.records import Op, Reply
from djust_presence.tracker import Tracker, close_all, get_tracker, lookup
from djust_presence.tracker.endings import Ending
from tests.backends.relay import Relay
from tests.servers import RedisServer, find_valkey_server
from tests.tracker.conftest import MakeBackend, Pages, Process, StartProcess, processes, settled
from tests.until import until


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Valkey of this test's own, to be frozen, flushed and restarted."""
    with RedisServer(find_valkey_server()) as server:
        yield server


@pytest_asyncio.fixture
async def start_there(server: RedisServer) -> AsyncIterator[StartProcess]:
    """Starts trackers on that server."""
    layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [server.url()]}}
    with override_settings(CHANNEL_LAYERS={"default": layer}):
        async with processes(
            lambda: RedisBackend(server.url(), {"timeout": 0.5, "read_timeout": 0.5})
        ) as start:
            yield start


class Deaf(Bus):
    """Loses everything."""

    def subscribe(self, key: str, ready: Callable[[], None]) -> None:
        ready()

    def unsubscribe(self, key: str) -> None: ...
    def publish(self, key: str, items: list[list[object]]) -> None: ...


async def test_a_user_in_a_crashed_process_leaves_once(start: StartProcess) -> None:
    a, b, c = start(), start(), start()
    watchers = [(b, b.open(None)), (c, c.open(None))]
    a.open("ada")
    a.open("grace")
    b.open("grace")
    for process, watcher in watchers:
        await process.shows(watcher, 2)
    a.crash()
    for process, watcher in watchers:
        await process.shows(watcher, 1, 3 + 0.5 + 5)
        await process.is_told(watcher, "leave ada")
        assert [one for one in process.pages.comings(watcher) if "leave" in one] == ["leave ada"]


async def test_a_clean_stop_is_noticed_by_nobody_who_comes_back(start: StartProcess) -> None:
    a, b = start(), start(drain_grace=1.5)
    watcher = b.open(None)
    ada, guest = a.open("ada"), a.open("anon_conn_1", lasting=False)
    await b.shows(watcher, 2)
    guest_gone = guest.connection.end(Ending.RESTART)
    stop = ada.connection.end(Ending.RESTART)
    assert guest_gone is None
    assert stop is not None
    await stop
    back = b.open("ada")
    await b.shows(back, 1)
    await asyncio.sleep(3)
    assert set(watcher.members()) == {"ada"}
    assert [one for one in b.pages.comings(watcher) if "ada" in one and "leave" in one] == []
    assert [one for one in b.pages.comings(watcher) if "anon" in one][-1:] == ["leave anon_conn_1"]


async def test_a_visitor_who_does_not_come_back_after_a_clean_stop_leaves_after_its_grace(
    start: StartProcess,
) -> None:
    a, b = start(drain_grace=1.0), start()
    watcher, ada = b.open(None), a.open("ada")
    await b.shows(watcher, 1)
    if stop := ada.connection.end(Ending.RESTART):
        await stop
    await asyncio.sleep(0.5)
    assert watcher.count() == 1
    await b.shows(watcher, 0, 8)


async def test_a_process_that_was_drained_tracks_again_under_another_lease(start: StartProcess) -> None:
    a, b = start(), start()
    watcher, ada = b.open(None), a.open("ada")
    await b.shows(watcher, 1)
    stop = ada.connection.end(Ending.RESTART)  # any client can say so
    assert stop is not None
    await stop
    again = a.open("grace")
    await a.shows(again, 2)
    await b.shows(watcher, 2)
    await b.shows(watcher, 1, 10)
    assert set(watcher.members()) == {"grace"}


async def test_the_end_of_the_interpreter_is_a_clean_stop_too(start: StartProcess) -> None:
    a, b = start(), start()
    watcher = b.open(None)
    a.open("ada")
    a.open("anon_conn_1", lasting=False)
    await b.shows(watcher, 2)
    await asyncio.to_thread(a.tracker.drain_now)
    assert set(a.tracker.backend.snapshots(["room"])[0].members) == {"ada"}
    back = b.open("ada")
    await until(lambda: set(watcher.members()) == {"ada"})
    await asyncio.sleep(2.5)
    assert set(back.members()) == {"ada"}
    assert "leave ada" not in b.pages.comings(watcher)


async def test_a_flush_makes_nobody_leave(start: StartProcess, make_backend: MakeBackend) -> None:
    a, b = start(), start()
    ada, grace = a.open("ada"), b.open("grace", meta='{"name":"Grace"}')
    for process, session in ((a, ada), (b, grace)):
        await process.shows(session, 2)
        await process.is_told(session, "join grace")
    await until(lambda: settled([ada, grace]))
    since = ada.members()["grace"].joined_at
    before = [len(a.pages.comings(ada)), len(b.pages.comings(grace))]
    backend = a.tracker.backend
    if isinstance(backend, MemoryBackend):
        backend._store.__init__()  # type: ignore[misc]
    else:
        assert isinstance(backend, RedisBackend)
        backend._run(backend._scripts.counts([""]))
        assert backend._threads
        backend._threads.writer.flushdb()
    for _ in range(40):
        assert (ada.count(), grace.count()) == (2, 2)
        await asyncio.sleep(0.1)
    assert [len(a.pages.comings(ada)), len(b.pages.comings(grace))] == before
    store = make_backend().snapshots(["room"])[0]
    assert set(store.members) == {"ada", "grace"}
    assert ada.members()["grace"].meta == '{"name":"Grace"}'
    assert ada.members()["grace"].joined_at == pytest.approx(since, abs=1e-5)
    alan = a.open("alan")
    await b.shows(grace, 3)
    alan.untrack()
    await b.shows(grace, 2)


async def test_lost_messages_are_made_up_for_at_the_next_renewal(start: StartProcess) -> None:
    a, b = start(), start()
    a.open(None, "another")
    await a.tracker.bus.aclose()
    a.tracker.bus = Deaf(lambda key, items: None)
    watcher, ada = b.open(None), a.open("ada")
    await b.shows(watcher, 1, 5)
    ada.untrack()
    await b.shows(watcher, 0, 5)
    await until(lambda: "leave ada" in b.pages.comings(watcher))
    assert b.pages.comings(watcher) in (["join ada", "leave ada"], ["leave ada"])


@pytest.mark.parametrize("options", [{}, {"group_expiry": 2}], ids=["keys-deleted", "short-expiry"])
async def test_broadcasts_arrive_again_soon_after_the_channel_layer_forgot_its_groups(
    server: RedisServer, options: dict[str, object]
) -> None:
    layer = {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [server.url()], **options},
    }
    with override_settings(CHANNEL_LAYERS={"default": layer}):
        async with processes(lambda: RedisBackend(server.url())) as start:
            a, b = start(), start()
            ada, grace = a.open("ada"), b.open("grace")
            await a.shows(ada, 2)
            await b.shows(grace, 2)
            if options:
                await asyncio.sleep(5)
            else:
                with redis.Redis.from_url(server.url()) as client:
                    assert client.delete(*client.keys("asgi:group:*")) == 2
                await asyncio.sleep(4 * a.tracker.settings.renew_interval)
            ada.broadcast("room", "from a", None)
            grace.broadcast("room", "from b", None)
            await until(lambda: {"from a", "from b"} <= {event for _, event, _ in a.pages.events}, 1)
            await until(lambda: {"from a", "from b"} <= {event for _, event, _ in b.pages.events}, 1)


class Losing(MemoryBackend):
    """Carries every write out, and loses every second answer."""

    asked = 0

    async def awrite(self, lease: str, ops: list[Op]) -> list[Reply]:  # type: ignore[override]
        from djust_presence.errors import PresenceUnavailable

        replies = await super().awrite(lease, ops)
        self.asked += 1
        if self.asked % 2:
            raise PresenceUnavailable("the answer got lost")
        return replies


async def test_a_lost_answer_is_neither_a_ghost_nor_a_second_join() -> None:
    backend = Losing()
    a = Process(Tracker(backend, Settings(lease_ttl=3, grace=0.1)))
    watcher = a.open(None)
    sessions = [a.open(f"u{n}") for n in range(5)]
    await a.shows(watcher, 5)
    for session in sessions[:3]:
        session.connection.end()
    await a.shows(watcher, 2)
    assert set(backend.snapshots(["room"])[0].members) == {"u3", "u4"}
    assert a.pages.comings(watcher).count("join u0") == 1
    await a.tracker.aclose()


async def test_tracking_never_waits_for_a_store_that_hangs(
    server: RedisServer, start_there: StartProcess, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = start_there(), start_there()
    ada, watcher = a.open("ada"), b.open(None)
    await b.shows(watcher, 1)
    server.freeze()
    try:
        began = a.tracker.clock.now
        grace = a.open("grace")
        assert (ada.count(), grace.count()) == (1, 2)
        ada.track("room", "ada", '{"x":1}')
        assert ada.members()["ada"].meta == '{"x":1}'
        alan = a.open("alan", "a group of its own")
        assert alan.count() == 1
        assert a.tracker.clock.now - began < 0.9  # a read would wait for a second
        await until(lambda: "Presence store: writes fail" in said(caplog))
        await asyncio.sleep(3)
        lines = said(caplog)
        assert all(lines.count(line) <= 2 for line in lines), lines  # here are two processes
    finally:
        server.thaw()
    await b.shows(watcher, 2)
    await a.shows(alan, 1)
    await until(lambda: watcher.members()["ada"].meta == '{"x":1}')
    assert "leave ada" not in b.pages.comings(watcher)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines of the log, up to what the store has answered."""
    return [
        record.getMessage().partition(" (")[0] for record in caplog.records if record.name == "djust_presence"
    ]


@pytest_asyncio.fixture
async def start_one(server: RedisServer) -> AsyncIterator[StartProcess]:
    """Starts trackers on that server that share the backend of the settings, as the loops of one process do."""
    layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [server.url()]}}
    presence = {"BACKEND": "redis", "LOCATION": server.url()}
    with override_settings(CHANNEL_LAYERS={"default": layer}, DJUST_PRESENCE=presence):
        async with processes(get_backend) as start:
            yield start


async def test_a_store_that_is_full_has_a_line_when_writes_fail_and_one_when_they_work_again(
    server: RedisServer, start_one: StartProcess, caplog: pytest.LogCaptureFixture
) -> None:
    a = start_one()
    ada = a.open("ada")
    await until(lambda: a.tracker.backend.count("room") == 1)
    server.command_line("CONFIG", "SET", "maxmemory", "1mb")
    until_then = a.tracker.clock.now + 15
    n = 0
    while a.tracker.clock.now < until_then:
        n += 1
        ada.track("room", "ada", f'{{"n":{n}}}')
        page = a.open(f"user {n}", f"room {n % 10}")
        await until(lambda page=page: page.served)  # type: ignore[misc]
        assert await lookup.acount("room that nobody here serves") == 0
        assert await lookup.amembers(f"room {n}") == {}
        page.connection.end()
        await asyncio.sleep(0.05)
    assert said(caplog) == ["Presence store: writes fail"]
    server.command_line("CONFIG", "SET", "maxmemory", "0")
    b = start_one()
    watcher = b.open(None)
    await until(lambda: watcher.served and watcher.members()["ada"].meta == f'{{"n":{n}}}')
    await asyncio.sleep(1)
    assert said(caplog) == ["Presence store: writes fail", "Presence store: writes work again."]


async def test_lost_replies_that_are_followed_by_an_answer_have_no_line(
    server: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("djust_presence.tracker.lookup.PAUSE", 0)
    layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [server.url()]}}
    with Relay(server.port) as relay:
        presence = {"BACKEND": "redis", "LOCATION": relay.url}
        with override_settings(CHANNEL_LAYERS={"default": layer}, DJUST_PRESENCE=presence):
            async with processes(get_backend) as start:
                a = start()
                ada = a.open("ada")
                await a.shows(ada, 1)
                for n in range(50):
                    relay.losing = 1
                    if random.random() < 0.5:
                        ada.track("room", "ada", f'{{"n":{n}}}')
                    else:
                        await lookup.acount("elsewhere")
                    await until(lambda: not relay.losing)
                    assert await lookup.acount("elsewhere") == 0
                    await until(lambda: ada.confirmed == ada.wanted)
                assert ada.count() == 1
    assert said(caplog) == []


async def test_a_store_that_is_down_at_start_is_awaited(
    server: RedisServer, start_there: StartProcess
) -> None:
    server.stop()
    a = start_there()
    ada = a.open("ada")
    assert ada.count() == 1
    await asyncio.sleep(0.5)
    server.start()
    await a.shows(ada, 1, 20)
    b = start_there()
    watcher = b.open(None)
    await b.shows(watcher, 1, 20)
    grace = a.open("grace")
    await b.shows(watcher, 2, 20)
    assert grace.served


async def test_a_restarted_store_is_filled_again(server: RedisServer, start_there: StartProcess) -> None:
    a, b = start_there(), start_there()
    ada, grace = a.open("ada"), b.open("grace")
    for process, session in ((a, ada), (b, grace)):
        await process.shows(session, 2)
    server.stop()
    server.start()
    alan = b.open("alan")
    await a.shows(ada, 3, 20)
    assert not [one for one in a.pages.comings(ada) + b.pages.comings(grace) if "leave" in one]
    alan.untrack()
    await a.shows(ada, 2, 20)


def one_page(url: str | None) -> None:
    """Open and close a page in a loop of its own, as a test of a user would."""

    async def run() -> None:
        pages = Pages()
        tracker = get_tracker()
        session = tracker.session(tracker.connect(pages, None), None)
        session.track("room", "ada", "{}")
        session.live()
        await until(lambda: session.served and pages.comings(session))
        await close_all()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not [task for task in left if "channels_redis" not in repr(task)]  # the layer keeps its own

    asyncio.run(run())


def test_loops_come_and_go_and_leave_nothing(redis_layer: dict[str, object], valkey_url: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            one_page(None)
        with override_settings(
            DJUST_PRESENCE={"BACKEND": "redis", "LOCATION": valkey_url}, CHANNEL_LAYERS=redis_layer
        ):
            for _ in range(3):
                one_page(None)


def test_two_loops_of_one_process_see_each_other() -> None:
    seen = threading.Event()
    failed: list[BaseException] = []

    async def watch() -> None:
        process = Process(get_tracker())
        watcher = process.open(None, "two loops")
        await process.shows(watcher, 1)
        seen.set()
        await process.shows(watcher, 0)
        await close_all()

    def elsewhere() -> None:
        try:
            asyncio.run(watch())
        except BaseException as error:
            failed.append(error)
            seen.set()

    async def be_there() -> None:
        process = Process(get_tracker())
        ada = process.open("ada", "two loops")
        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(seen.wait, 20)
        ada.untrack()
        await asyncio.to_thread(thread.join, 20)
        await close_all()

    asyncio.run(be_there())
    assert not failed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_trackers_of_its_own() -> None:
    one_page(None)
    child = multiprocessing.get_context("fork").Process(target=one_page, args=(None,))
    child.start()
    child.join(20)
    assert child.exitcode == 0


async def test_other_settings_are_another_tracker() -> None:
    first = get_tracker()
    assert get_tracker() is first
    with override_settings(DJUST_PRESENCE={"GRACE": 1}):
        assert get_tracker() is not first
        assert get_tracker().settings.grace == 1
    await close_all()


async def test_a_tracker_without_sessions_stops_and_starts_again(
    start: StartProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("djust_presence.tracker.tracker.LINGER", 0.3)
    a = start(heartbeat_interval=0.5)
    ada = a.open("ada")
    await a.shows(ada, 1)
    ada.connection.end()
    await until(lambda: not a.tracker.clock._tasks, 10)
    assert not a.tracker.groups
    again = a.open("ada")
    await a.shows(again, 1)
