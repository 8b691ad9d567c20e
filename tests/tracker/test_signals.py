"""Signals: once for each change, in order, from the process that wrote it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async

from djust_presence import presence
from djust_presence.backends.memory import MemoryBackend
from djust_presence.backends.registry import get_backend
from djust_presence.background import LONGEST_STOP
from djust_presence.conf import get_settings
from djust_presence.signals import Presence, presence_joined, presence_left, presence_updated
from djust_presence.state.store import Store
from djust_presence.tracker import get_tracker, signalling
from tests.tracker.conftest import MakeBackend, Process, StartProcess
from tests.until import until

SIGNALS = {"joined": presence_joined, "left": presence_left, "updated": presence_updated}


class Heard:
    """A record of what a sync receiver of all signals was told."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str, dict[str, Any]]] = []
        self.threads: set[str] = set()
        self.pause = 0.0

    def receiver(self, name: str) -> Callable[..., None]:
        def receive(sender: Any, key: str, presence: dict[str, Any], **kwargs: Any) -> None:
            assert sender is Presence
            time.sleep(self.pause)
            self.threads.add(threading.current_thread().name)
            self.all.append((name, key, presence))

        return receive

    @property
    def brief(self) -> list[tuple[str, str]]:
        return [(name, presence["id"]) for name, _, presence in self.all]


@pytest.fixture
def heard() -> Iterator[Heard]:
    heard = Heard()
    receivers = {name: heard.receiver(name) for name in SIGNALS}
    for name, receiver in receivers.items():
        SIGNALS[name].connect(receiver)
    yield heard
    for name, receiver in receivers.items():
        assert SIGNALS[name].disconnect(receiver)


@pytest.fixture
def empty(make_backend: MakeBackend, valkey_url: str) -> Callable[[], None]:
    def empty() -> None:
        backend = make_backend()
        if isinstance(backend, MemoryBackend):
            backend._store = Store()
        else:
            with redis.Redis.from_url(valkey_url) as client:
                client.flushdb()

    return empty


async def test_coming_changing_and_going_are_told_once_each(heard: Heard, start: StartProcess) -> None:
    a, b = start(), start()
    one = a.open("ada", meta='{"name":"Ada"}')
    await until(lambda: heard.brief == [("joined", "ada")])
    two = b.open("ada", meta='{"name":"Ada"}')
    await a.has_connections(one, "ada", 2)
    two.track("room", "ada", '{"name":"Ada","typing":true}')
    await until(lambda: heard.brief[1:] == [("updated", "ada")])
    two.connection.end()  # the meta goes back to the other tab's
    await until(lambda: heard.brief[2:] == [("updated", "ada")])
    one.untrack()
    await until(lambda: heard.brief[3:] == [("left", "ada")])
    assert {key for _, key, _ in heard.all} == {"room"}
    joined, typing, done, left = (record for _, _, record in heard.all)
    assert (joined["name"], joined["connections"]) == ("Ada", 1)
    assert (typing["typing"], typing["connections"]) == (True, 2)
    assert (done["meta"], done["connections"]) == ({"name": "Ada"}, 1)
    assert left["meta"] == {"name": "Ada"}


async def test_a_reaped_user_has_left_and_one_who_returns_has_joined(
    heard: Heard, start: StartProcess
) -> None:
    a, b = start(), start()
    watcher = b.open(None)
    a.open("ada", meta='{"name":"Ada"}')
    await b.shows(watcher, 1)
    outbox = a.tracker._outbox
    assert outbox.lease
    # The process hangs: another one finds its lease expired.
    keeper = a.tracker._keeper
    keeper._renew_at += 3600
    await a.tracker.backend.adrain(outbox.lease, 0)
    await until(lambda: ("left", "ada") in heard.brief)
    assert heard.all[-1][2]["name"] == "Ada"
    keeper._renew_at = 0.0
    a.tracker._writer.wake()
    await until(lambda: heard.brief == [("joined", "ada"), ("left", "ada"), ("joined", "ada")])


async def test_a_presence_that_is_written_again_to_an_emptied_store_has_not_joined(
    heard: Heard, start: StartProcess, empty: Callable[[], None]
) -> None:
    a, b = start(), start()
    one, other = a.open("ada"), b.open("bob")
    await a.shows(one, 2)
    await b.shows(other, 2)
    empty()
    tab = b.open("ada")  # on a process that has not heard of it yet, or has
    await b.has_connections(tab, "ada", 2)
    await b.has_connections(tab, "bob", 1)
    b.open("eve")
    await until(lambda: ("joined", "eve") in heard.brief)
    assert sorted(heard.brief) == [("joined", "ada"), ("joined", "bob"), ("joined", "eve")]


async def test_slow_receivers_hold_up_no_writes_and_keep_the_order(heard: Heard, start: StartProcess) -> None:
    heard.pause = 0.02
    a = start()
    watcher = a.open(None)
    sessions = [a.open(f"u{n}") for n in range(50)]
    await a.shows(watcher, 50)
    for session in sessions:
        session.untrack()
    await a.shows(watcher, 0)
    assert len(heard.all) < 100
    await until(lambda: len(heard.all) == 100)
    assert heard.brief == [("joined", f"u{n}") for n in range(50)] + [("left", f"u{n}") for n in range(50)]
    assert len(heard.threads) == 1


async def test_async_receivers_run_on_the_loop_and_failures_cost_only_themselves(
    heard: Heard, start: StartProcess, caplog: pytest.LogCaptureFixture
) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def receive(key: str, presence: dict[str, Any], **kwargs: Any) -> None:
        loops.append(asyncio.get_running_loop())

    async def fail(**kwargs: Any) -> None:
        raise RuntimeError("no webhook")

    presence_joined.connect(fail)
    presence_joined.connect(receive)
    try:
        a = start()
        for n in range(3):
            a.open(f"u{n}")
        await until(lambda: len(loops) == len(heard.brief) == 3)
    finally:
        presence_joined.disconnect(receive)
        presence_joined.disconnect(fail)
    assert set(loops) == {asyncio.get_running_loop()}
    assert heard.brief == [("joined", f"u{n}") for n in range(3)]
    failures = [record for record in caplog.records if record.name == "django.dispatch"]
    assert len(failures) == 3
    caplog.clear()


async def test_a_receiver_that_awaits_something_cancelled_costs_only_itself(
    heard: Heard, start: StartProcess, caplog: pytest.LogCaptureFixture
) -> None:
    async def receive(**kwargs: Any) -> None:
        raise asyncio.CancelledError

    presence_joined.connect(receive)
    try:
        a = start()
        for n in range(3):
            a.open(f"u{n}")
        await until(lambda: len(heard.all) == 3)  # whether or not Django says anything of it
    finally:
        presence_joined.disconnect(receive)
    caplog.clear()


async def test_nothing_is_made_ready_where_nobody_receives(start: StartProcess) -> None:
    a = start()
    await a.shows(a.open("ada"), 1)
    assert a.tracker.signals._task is None


async def test_the_end_of_a_process_waits_for_receivers(heard: Heard, start: StartProcess) -> None:
    heard.pause = 0.05
    a = start()
    watcher = a.open(None)
    for n in range(10):
        a.open(f"u{n}")
    await a.shows(watcher, 10)
    await a.tracker.aclose()
    assert sorted(heard.brief) == sorted((what, f"u{n}") for what in ("joined", "left") for n in range(10))


async def test_receivers_that_are_far_too_slow_lose_signals_and_the_log_says_so(
    heard: Heard, start: StartProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(signalling, "MOST_WAITING", 5)
    heard.pause = 0.01
    a = start()
    watcher = a.open(None)
    for n in range(30):
        a.open(f"u{n}")
    await a.shows(watcher, 30)
    await until(lambda: "A presence signal was not sent" in caplog.text)
    await until(lambda: len(heard.all) >= 5)
    await asyncio.wait_for(a.tracker.signals._idle.wait(), 10)
    assert len(heard.all) < 30
    caplog.clear()


async def test_jobs_in_a_process_without_pages_tell_before_they_return(heard: Heard) -> None:
    await presence.ajoin("jobs", "worker", {"name": "Importer"})
    await presence.ajoin("jobs", "worker", {"name": "Importer", "done": 1})
    assert await presence.aheartbeat("jobs", "worker")
    await presence.aleave("jobs", "worker")
    assert heard.brief == [("joined", "worker"), ("updated", "worker"), ("left", "worker")]

    def job() -> None:
        presence.join("jobs", "worker")
        assert heard.brief[3:] == [("joined", "worker")]
        presence.leave("jobs", "worker")
        assert heard.brief[4:] == [("left", "worker")]

    await sync_to_async(job, thread_sensitive=False)()


async def test_jobs_in_a_process_with_pages_tell_after_its_tracker(heard: Heard) -> None:
    a = Process(get_tracker())
    assert a.tracker.backend is get_backend()
    assert a.tracker.settings is get_settings()
    session = a.open("ada", "jobs")
    await a.shows(session, 1)
    heard.pause = 0.05
    session.untrack()
    await until(lambda: not a.tracker.groups["jobs"].replica.member("ada"))  # the store knows
    await sync_to_async(presence.join, thread_sensitive=False)("jobs", "worker")
    await presence.aleave("jobs", "worker")
    await until(lambda: len(heard.all) == 4)
    assert heard.brief == [("joined", "ada"), ("left", "ada"), ("joined", "worker"), ("left", "worker")]
    await a.tracker.aclose()


STOPPED = """
import asyncio, os, sys, threading
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from djust_presence import presence
from djust_presence.signals import presence_joined
from djust_presence.state.records import Member
from djust_presence.tracker.signalling import News, Signalling

asked, stopped = threading.Event(), threading.Event()

def receiver(key, presence, **kwargs):
    asked.set()
    assert stopped.wait(30)
    print("speaks", flush=True)
    presence.broadcast("room", "news", {})  # on the loop that waits for this thread, which is gone

presence_joined.connect(receiver)
loop = asyncio.new_event_loop()

async def main():
    signals = Signalling(lambda run: asyncio.create_task(run))
    signals.put([News(presence_joined, "room", "ada", Member(1, 0.0, "{}"))])
    while not asked.is_set():
        await asyncio.sleep(0.01)
    return signals

signals = loop.run_until_complete(main())  # a server may stop its loop while receivers are running
stopped.set()
"""


def test_a_process_ends_though_a_receiver_waits_for_its_loop() -> None:
    result = subprocess.run(
        [sys.executable, "-c", STOPPED], capture_output=True, text=True, timeout=LONGEST_STOP + 15
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "speaks\n"
