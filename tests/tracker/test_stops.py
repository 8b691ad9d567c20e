"""Stops that overlap with joins: a visitor who comes while something stops is present."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from djust_presence.backends.memory import MemoryBackend
from djust_presence.backends.redis import RedisBackend
from djust_presence.bus import LocalBus
from djust_presence.conf import Settings
from djust_presence.state.records import Member, Op, Reply
from djust_presence.tracker import Tracker, close_all, get_tracker, serving
from djust_presence.tracker.endings import Ending
from tests.tracker.conftest import MakeBackend, Process, StartProcess, processes
from tests.until import until


class Slow(MemoryBackend):
    """Answers writes only while it is let to."""

    def __init__(self) -> None:
        super().__init__()
        self.answering = asyncio.Event()
        self.answering.set()

    async def awrite(self, lease: str, ops: Sequence[Op]) -> list[Reply]:
        await self.answering.wait()
        return await super().awrite(lease, ops)

    async def adrain(self, lease: str, grace: float) -> None:
        await self.answering.wait()
        await super().adrain(lease, grace)

    def users(self) -> dict[str, Member]:
        return self.snapshots(["room"])[0].members


def slow(**timings: Any) -> tuple[Slow, Process]:
    backend = Slow()
    return backend, Process(Tracker(backend, Settings(lease_ttl=3.0, grace=0.3, **timings)))


async def test_a_visitor_who_comes_while_the_lease_is_drained_is_present() -> None:
    backend, a = slow()
    ada, guest = a.open("ada"), a.open("anon_conn_1", lasting=False)
    await a.shows(ada, 2)
    backend.answering.clear()
    guest.connection.end(Ending.RESTART)
    stop = ada.connection.end(Ending.RESTART)
    assert stop is not None
    await asyncio.sleep(0.05)
    grace = a.open("grace")
    await asyncio.sleep(0.05)
    backend.answering.set()
    await stop
    await until(lambda: "grace" in backend.users())
    await a.shows(grace, 2)  # ada may come back yet
    assert "anon_conn_1" not in backend.users()
    await a.tracker.aclose()


async def test_a_presence_that_cannot_come_back_leaves_with_the_drain_whatever_is_under_way() -> None:
    backend, a = slow()
    guests = [a.open(f"anon_conn_{n}", lasting=False) for n in range(20)]
    await a.shows(guests[0], 20)
    backend.answering.clear()
    a.open("ada").connection.end()  # something for the writer to be busy with
    await asyncio.sleep(0.02)
    stops = [guest.connection.end(Ending.RESTART) for guest in guests]
    backend.answering.set()
    assert stops[-1] is not None
    await stops[-1]
    assert not [user for user in backend.users() if user.startswith("anon")]
    await a.tracker.aclose()


async def test_a_drain_that_ends_with_the_loop_is_finished_at_the_end_of_the_interpreter() -> None:
    """As under daphne, which cancels what reads the sockets, and then has no more time for its loop."""
    backend = Slow()
    a = Process(Tracker(backend, Settings(lease_ttl=12.0, drain_grace=0.1)))
    b = Process(Tracker(backend, Settings(lease_ttl=3.0)))
    watcher, ada, guest = b.open(None), a.open("ada"), a.open("anon_conn_1", lasting=False)
    await b.shows(watcher, 2)
    backend.answering.clear()
    guest.connection.end(Ending.RESTART)
    stop = ada.connection.end(Ending.RESTART)
    assert stop is not None
    await asyncio.sleep(0)
    stop.cancel()
    await asyncio.wait([stop])
    await asyncio.to_thread(a.tracker.drain_now)
    assert set(backend.users()) == {"ada"}
    backend.answering.set()
    await b.shows(watcher, 0, 10)
    for process in (a, b):
        await process.tracker.aclose()


async def test_a_second_drain_waits_for_the_first() -> None:
    """As where the server cancels what reads the sockets, and then asks the application to shut down."""
    backend, a = slow()
    guest = a.open("anon_conn_1", lasting=False)
    await a.shows(guest, 1)
    backend.answering.clear()
    guest.connection.end(Ending.RESTART)
    second = a.tracker.drain()
    assert not (await asyncio.wait([second], timeout=0.1))[0]
    backend.answering.set()
    await second
    assert not backend.users()
    await a.tracker.aclose()


async def test_closing_leaves_nobody_behind(start: StartProcess, make_backend: MakeBackend) -> None:
    a = start()
    watcher = a.open(None)
    for n in range(5):
        a.open(f"lasting {n}")
        a.open(f"anon_conn_{n}", lasting=False)
    await a.shows(watcher, 10)
    await a.tracker.aclose()
    assert not make_backend().snapshots(["room"])[0].members


async def test_a_drain_cancels_leaves_that_are_waiting(start: StartProcess) -> None:
    a, b = start(grace=0.5, drain_grace=5.0), start()
    watcher, ada, grace = b.open(None), a.open("ada"), a.open("grace")
    await b.shows(watcher, 2)
    ada.connection.end()
    stop = grace.connection.end(Ending.RESTART)
    assert stop is not None
    await stop
    await asyncio.sleep(1)
    assert watcher.count() == 2
    b.open("ada")
    b.open("grace")
    await until(lambda: [one.connections for one in watcher.members().values()] == [2, 2])
    assert not [one for one in b.pages.comings(watcher) if "leave" in one]


async def test_pages_that_are_open_still_are_present_when_a_drained_process_goes_on(
    start: StartProcess,
) -> None:
    a, b = start(drain_grace=0.5), start()
    watcher, ada, guest = b.open(None), a.open("ada"), a.open("anon_conn_1", lasting=False)
    await b.shows(watcher, 2)
    await a.tracker.drain()
    ada.track("room", "ada", '{"x":1}')
    await until(lambda: set(watcher.members()) == {"ada", "anon_conn_1"})
    await asyncio.sleep(2)
    assert set(watcher.members()) == {"ada", "anon_conn_1"}
    assert "leave ada" not in b.pages.comings(watcher)
    guest.connection.end()
    await b.shows(watcher, 1)


async def test_a_visitor_who_comes_while_an_idle_tracker_stops_is_present(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("djust_presence.tracker.tracker.LINGER", 0.2)
    backend, a = slow(heartbeat_interval=0.5)
    ada = a.open("ada")
    await a.shows(ada, 1)
    ada.connection.end()
    await until(lambda: not a.tracker.groups and not backend.users())
    backend.answering.clear()  # the stop itself hangs
    await until(lambda: not a.tracker._running)
    grace = a.open("grace")
    await asyncio.sleep(0.1)
    assert a.tracker._running
    backend.answering.set()
    await a.shows(grace, 1)
    await until(lambda: set(backend.users()) == {"grace"})
    await until(lambda: a.pages.comings(grace) == ["join grace"])
    await a.tracker.aclose()
    assert not a.tracker.clock._tasks
    assert not backend.users()


async def test_leaving_and_closing_the_page_at_once_leaves_at_once(start: StartProcess) -> None:
    a, b = start(grace=60.0), start()
    watcher, ada = b.open(None), a.open("ada")
    await b.shows(watcher, 1)
    untracked = asyncio.get_running_loop().run_in_executor(None, ada.untrack)
    while ada.wanted is not None:
        pass  # the loop has not heard of it when the page is closed
    ada.connection.end()
    await untracked
    await b.shows(watcher, 0, 5)


async def test_a_page_that_closes_before_its_refresh_is_not_refreshed(start: StartProcess) -> None:
    a = start()
    ada, grace = a.open("ada"), a.open("grace")
    await a.shows(ada, 2)
    await until(lambda: not ada.stale and not ada.refreshing and not grace.refreshing)
    a.pages.hops.clear()
    for session in (ada, grace):
        session.stale = True
    a.tracker.refresh([ada, grace])
    await asyncio.sleep(0)
    ada.connection.end()
    await until(lambda: a.pages.hops)
    assert a.pages.hops == [[grace]]


async def test_a_session_that_wishes_elsewhere_while_its_group_is_read_moves(start: StartProcess) -> None:
    a = start()
    sessions = [a.session() for _ in range(10)]
    for session in sessions:
        session.watch("old")
        session.live()
    for n, session in enumerate(sessions):
        session.key = "new"  # a thread has come so far when the snapshot arrives
        session.wanted = None
        if n == 5:
            a.open("ada", "new")
    await until(lambda: all(session.served for session in sessions))
    for session in sessions:
        await a.shows(session, 1)


async def test_wishes_of_a_thread_that_outlives_the_loop_are_nothing() -> None:
    def one_loop() -> Process:
        async def run() -> Process:
            process = Process(get_tracker())
            process.open("ada", "outlived")
            await until(lambda: serving("outlived"))
            return process

        return asyncio.run(run())

    process = await asyncio.to_thread(one_loop)
    session = next(iter(process.tracker.sessions))
    session.track("outlived", "ada", '{"x":1}')
    session.broadcast("outlived", "hello", None)
    assert serving("outlived") is None  # the state of a dead loop is shown to nobody
    get_tracker()
    await close_all()
    LocalBus.send("outlived", [["event", "x", None]])
    assert "outlived" not in LocalBus._listening


async def test_a_real_process_that_ends_in_order_drains_its_lease_and_says_nothing(
    valkey_url: str, redis_layer: dict[str, Any]
) -> None:
    """As under daphne, which tells an application nothing of its stop."""
    with override_settings(CHANNEL_LAYERS=redis_layer):
        async with processes(lambda: RedisBackend(valkey_url)) as start:
            b = start()
            watcher = b.open(None)
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.tracker.child", valkey_url, json.dumps(redis_layer)),
                cwd=Path(__file__).parents[2],
                stdin=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            await b.shows(watcher, 2, 30)
            _, said = await child.communicate(b"\n")
            assert (child.returncode, said.decode()) == (0, "")
            await b.shows(watcher, 1, 3)
            assert set(watcher.members()) == {"ada"}
            await until(lambda: b.pages.comings(watcher)[-1] == "leave anon_conn_1")
            b.open("ada")
            await asyncio.sleep(4)
            assert set(watcher.members()) == {"ada"}
            assert "leave ada" not in b.pages.comings(watcher)
