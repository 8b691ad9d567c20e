"""Messages from code without a loop: over connections that last, through restarts, hangs, signals and forks."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from pytest_django import Settings

from djust_presence import PresenceUnavailable, presence
from djust_presence.backends.registry import get_backend
from djust_presence.bus import end_loops, loops, run
from tests.servers import ROOT, RedisServer, find_valkey_server
from tests.until import wait_until

PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
CORE = "channels_redis.core.RedisChannelLayer"
SENDS = {PUBSUB: "publish", CORE: "zremrangebyscore"}  # a command of each message


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(find_valkey_server()) as server:
        yield server


@pytest.fixture(params=[PUBSUB, CORE], ids=["pubsub", "core"])
def layer(request: pytest.FixtureRequest, server: RedisServer, settings: Settings) -> Iterator[str]:
    """The class of the layer that the settings name, on *server*."""
    kind: str = request.param
    use_layer(settings, kind, server)
    settings.DJUST_PRESENCE = {"BACKEND": "redis", "LOCATION": server.url()}
    yield kind
    end_loops()
    get_backend().close()


def use_layer(settings: Settings, kind: str, server: RedisServer) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": kind, "CONFIG": {"hosts": [server.url()]}}}


class Reader:
    """The server's own view of its connections and of the messages that it was sent."""

    def __init__(self, server: RedisServer, layer: str) -> None:
        self.client: Any = redis.Redis.from_url(server.url(), decode_responses=True)
        self.layer = layer

    def messages(self) -> int:
        stats = self.client.info("commandstats").get(f"cmdstat_{SENDS[self.layer]}", {})
        return int(stats.get("calls", 0))

    def connections(self) -> set[str]:
        """Connections whose last command was a message, or that have sent nothing yet."""
        return {
            one["id"]
            for one in self.client.client_list()
            if one["name"] != "djust_presence" and not one["cmd"].startswith("client")
        }


@pytest.fixture
def reader(server: RedisServer, layer: str) -> Iterator[Reader]:
    reader = Reader(server, layer)
    yield reader
    reader.client.close()


def wait_until_open(reader: Reader, count: int) -> None:
    wait_until(lambda: len(reader.connections()) == count)


def test_calls_one_after_the_other_share_a_connection(reader: Reader) -> None:
    presence.broadcast("room", "hello")
    first = reader.connections()
    assert len(first) == 1
    for number in range(10):
        presence.join("room", number)
        presence.broadcast("room", "hello")
        presence.leave("room", number)
    assert reader.messages() == 31
    assert reader.connections() == first
    end_loops()
    wait_until_open(reader, 0)


def test_threads_at_the_same_time_have_a_connection_each_and_others_find_them_again(reader: Reader) -> None:
    barrier = threading.Barrier(4)

    def send() -> None:
        for _ in range(5):
            barrier.wait()
            presence.broadcast("room", "hello")

    for _ in range(2):
        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert reader.messages() == 40
    assert 1 <= len(reader.connections()) <= 4


def test_a_thread_that_wakes_a_loop_late_does_not_end_its_connection(reader: Reader) -> None:
    presence.broadcast("room", "hello")
    first = reader.connections()
    (loop,) = loops._free
    loop.runner.get_loop().call_soon_threadsafe(lambda: None)
    presence.broadcast("room", "hello")
    assert reader.connections() == first
    assert reader.messages() == 2


def test_a_connection_that_nothing_went_through_for_long_is_not_used_again(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    presence.broadcast("room", "hello")
    first = reader.connections()
    monkeypatch.setattr(loops, "IDLE", 0.5)
    time.sleep(0.6)
    presence.broadcast("room", "hello")
    second = reader.connections()
    assert len(second) == 1
    assert second.isdisjoint(first)
    assert reader.messages() == 2


def test_connections_that_many_threads_have_needed_once_do_not_stay(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier = threading.Barrier(4)

    async def at_once() -> None:
        await presence.abroadcast("room", "hello")
        barrier.wait()

    threads = [threading.Thread(target=run, args=(at_once,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reader.connections()) == 4
    monkeypatch.setattr(loops, "IDLE", 0.5)
    for _ in range(8):
        presence.broadcast("room", "hello")
        time.sleep(0.1)
    wait_until_open(reader, 1)


def test_another_layer_in_the_settings_has_connections_of_its_own(reader: Reader, settings: Settings) -> None:
    presence.broadcast("room", "hello")
    with RedisServer(find_valkey_server()) as other:
        use_layer(settings, reader.layer, other)
        presence.broadcast("room", "hello")
        of_other = Reader(other, reader.layer)
        assert (reader.messages(), of_other.messages()) == (1, 1)
        wait_until_open(reader, 0)
        of_other.client.close()


def test_a_server_that_was_restarted_between_two_messages_gets_the_second(
    server: RedisServer, reader: Reader
) -> None:
    presence.broadcast("room", "hello")
    server.kill()
    server.start()
    presence.broadcast("room", "hello")
    assert reader.messages() == 1


def test_a_layer_that_hangs_keeps_its_callers_for_a_second_and_then_works_as_before(
    server: RedisServer, reader: Reader, settings: Settings
) -> None:
    presence.broadcast("room", "hello")
    server.freeze()
    try:
        began = time.monotonic()
        with pytest.raises(PresenceUnavailable, match="The channel layer: TimeoutError"):
            presence.broadcast("room", "hello")
        assert 0.9 < time.monotonic() - began < 5
    finally:
        server.thaw()
    before = reader.messages()
    presence.broadcast("room", "hello")
    assert reader.messages() == before + 1


def test_a_layer_that_is_away_is_unavailable_and_is_found_when_it_is_back(
    server: RedisServer, reader: Reader
) -> None:
    presence.broadcast("room", "hello")
    server.kill()
    with pytest.raises(PresenceUnavailable, match="The channel layer"):
        presence.broadcast("room", "hello")
    server.start()
    presence.broadcast("room", "hello")
    assert reader.messages() == 1


def test_a_call_that_a_signal_ends_leaves_nothing_behind(
    server: RedisServer, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    """As the time limit of a task queue does."""

    class OutOfTime(Exception):
        pass

    def end(*args: object) -> None:
        raise OutOfTime

    presence.broadcast("room", "hello")
    first = reader.connections()
    before = signal.signal(signal.SIGALRM, end)
    server.freeze()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(OutOfTime):
            presence.broadcast("room", "hello")
    finally:
        server.thaw()
        signal.signal(signal.SIGALRM, before)
    presence.broadcast("room", "hello")
    wait_until_open(reader, 1)
    assert reader.connections().isdisjoint(first)
    assert not caplog.records


async def whereabouts() -> tuple[asyncio.AbstractEventLoop, str]:
    return asyncio.get_running_loop(), threading.current_thread().name


async def test_a_thread_for_which_a_loop_waits_sends_from_that_loop() -> None:
    loop, thread = await sync_to_async(run)(whereabouts)
    assert loop is asyncio.get_running_loop()
    assert thread == threading.current_thread().name


def test_a_thread_without_a_loop_keeps_the_one_that_it_has_set() -> None:
    mine = asyncio.new_event_loop()
    asyncio.set_event_loop(mine)
    try:
        loop, thread = run(whereabouts)
        assert loop is not mine
        assert thread == threading.current_thread().name
        assert run(whereabouts)[0] is loop
        assert asyncio.get_event_loop() is mine
    finally:
        asyncio.set_event_loop(None)
        mine.close()
    end_loops()
    assert loop.is_closed()


def test_a_send_sees_the_context_of_its_caller() -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")

    async def read() -> str:
        return tenant.get()

    for name in ("one", "two"):
        tenant.set(name)
        assert run(read) == name


FORKS = """
import asyncio, os, sys, threading
import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["djust_presence"],
    CHANNEL_LAYERS={"default": {"BACKEND": sys.argv[1], "CONFIG": {"hosts": [sys.argv[2]]}}},
    DJUST_PRESENCE={"BACKEND": "redis", "LOCATION": sys.argv[2]},
)
django.setup()
from djust_presence import presence

def say(count):
    for _ in range(count):
        presence.broadcast("room", "hello")

def fork():
    pid = os.fork()
    if pid == 0:
        say(2)
        sys.exit()
    return pid

say(1)
children = [fork(), fork()]
say(2)
children.append(fork())
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
say(2)

async def main():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    await presence.abroadcast("room", "hello")

asyncio.run(main())
thread = threading.Thread(target=say, args=(2,))
thread.start()
thread.join()
say(2)
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_forked_process_has_connections_of_its_own_and_all_end_without_a_word(
    server: RedisServer, reader: Reader, host: str
) -> None:
    url = server.url().replace("127.0.0.1", host)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", FORKS, reader.layer, url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, done.stdout, said) == (0, "", [])
    assert reader.messages() == 1 + 2 + 3 * 2 + 2 + 1 + 2 + 2
    wait_until_open(reader, 0)
