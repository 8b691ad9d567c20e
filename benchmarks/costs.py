"""What presence costs, counted on the wire of a real Valkey: run with ``python -m benchmarks.costs``."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import django
from django.conf import settings as django_settings

from tests.servers import RedisServer, find_valkey_server


class Monitor:
    """Counts the commands that a server is sent, those that its scripts run left out."""

    def __init__(self, server: RedisServer) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port))
        self._socket.sendall(b"MONITOR\r\n")
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._socket.makefile():
            self._lines.append(line)

    def take(self) -> Counter[str]:
        """The commands since the last time, by name."""
        time.sleep(0.1)
        lines, self._lines = self._lines, []
        commands = [line.split('"', 2)[1].upper() for line in lines if '"' in line and " lua]" not in line]
        return Counter(one for one in commands if one not in ("CLIENT", "HELLO", "MONITOR", "SELECT"))


class Counting:
    """A host that renders nothing and counts how often each session is refreshed, and in how many hops."""

    def __init__(self) -> None:
        self.refreshes: Counter[Any] = Counter()
        self.hops = 0

    async def refresh(self, sessions: Sequence[Any]) -> None:
        self.hops += 1
        for session in sessions:
            session.take()
            self.refreshes[session] += 1

    def broadcast(self, sessions: Sequence[Any], event: str, payload: Any) -> None: ...
    def ping(self, connections: Sequence[Any]) -> None: ...
    def close(self, connection: Any, code: int, reason: str) -> None: ...
    def notice(self, connections: Sequence[Any], kind: str, *rest: Any) -> None: ...
    async def check(self, connections: Sequence[Any]) -> None: ...


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def measure(server: RedisServer) -> None:
    from djust_presence.tracker import get_tracker
    from djust_presence.tracker.trackers import close_all

    tracker, host, monitor = get_tracker(), Counting(), Monitor(server)

    def join(key: str, user: str) -> Any:
        session = tracker.session(tracker.connect(host, None), None)
        session.track(key, user, '{"name": "Somebody"}')
        session.live()
        return session

    async def settled(key: str, count: int) -> None:
        await until(lambda: (replica := tracker.replica_of(key)) and replica.count == count)

    for size in (10, 1000):
        key = f"group-of-{size}"
        sessions = [join(key, f"u{n}") for n in range(size)]
        await settled(key, size)
        await asyncio.sleep(0.3)
        monitor.take()
        one = join(key, "one more")
        await settled(key, size + 1)
        print(f"a join at {size:5} members: {dict(monitor.take())}")
        one.untrack()
        await settled(key, size)
        print(f"a leave at {size:4} members: {dict(monitor.take())}")
        began = time.perf_counter()
        for _ in range(100):
            one.count()
        print(
            f"100 counts at {size} members: {(time.perf_counter() - began) * 1e6:.0f} µs, {dict(monitor.take())}"
        )
        await asyncio.sleep(11)
        print(f"11 s of {size} idle users: {dict(monitor.take())}")
        for session in [*sessions, one]:
            session.untrack()
            session.end()
        await settled(key, 0)

    host.refreshes.clear()
    calls = 0
    write = tracker.backend.awrite

    async def counted(lease: str, ops: Any) -> Any:
        nonlocal calls
        calls += 1
        return await write(lease, ops)

    tracker.backend.awrite = counted  # type: ignore[method-assign]
    sessions = [join("burst", f"u{n}") for n in range(200)]
    await settled("burst", 200)
    await asyncio.sleep(1)
    print(
        f"200 joins at once: {calls} round trips of the writer, at most {max(host.refreshes.values())} refreshes a session"
    )
    host.refreshes.clear()
    host.hops = 0
    join("burst", "one more")
    await settled("burst", 201)
    await asyncio.sleep(1)
    print(
        f"one more joins 200: {Counter(host.refreshes.values())} refreshes a session, {host.hops} hops, others: "
        f"{sum(session not in sessions for session in host.refreshes)}"
    )

    watchers = []
    for n in range(5000):
        session = tracker.session(tracker.connect(host, None), None)
        session.watch(f"group-{n}")
        session.live()
        watchers.append(session)
    await until(lambda: all(session.served for session in watchers))
    keys = list(tracker.groups)
    monitor.take()
    lease, seq = tracker._outbox.lease, tracker._outbox.seq
    took = []
    for _ in range(10):
        began = time.perf_counter()
        await tracker.backend.arenew(lease, seq, keys)
        took.append(time.perf_counter() - began)
    print(
        f"renewal with {len(keys)} served groups: {min(took) * 1e3:.1f} to {max(took) * 1e3:.1f} ms, "
        f"commands of 10: {dict(monitor.take())}"
    )
    await close_all()


def main() -> None:
    with RedisServer(find_valkey_server()) as server:
        django_settings.configure(
            DJUST_PRESENCE={"BACKEND": "redis", "LOCATION": server.url()},
            CHANNEL_LAYERS={
                "default": {
                    "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                    "CONFIG": {"hosts": [server.url()]},
                }
            },
        )
        django.setup()
        asyncio.run(measure(server))


if __name__ == "__main__":
    main()
