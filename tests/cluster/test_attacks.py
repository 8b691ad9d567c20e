"""One client against all others of a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import websockets

from tests.live_pages import LivePage, Person
from tests.servers import SiteServer

RATE = 300  # sockets a second: a third of what a quiet machine takes in
HEAVY = json.dumps(
    {"type": "event", "name": "take", "params": {"value": [1.5] * 13_000}}, separators=(",", ":")
)


class DeflatingServer(SiteServer):
    """The same, with uvicorn's default of compressing messages."""

    def command(self) -> list[str]:
        *options, application = super().command()
        return [*options, "--ws-per-message-deflate", "true", application]


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with SiteServer({"DJANGO_SETTINGS_MODULE": "tests.cluster.mount_site"}) as site:
        yield site


def handshake(site: SiteServer, path: str, cookies: str = "") -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{site.port}",
        f"Origin: {site.url}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *([f"Cookie: {cookies}"] if cookies else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def open_and_abort(site: SiteServer, path: str) -> None:
    """Open a socket and be gone: before it is accepted, or a moment later."""
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(handshake(site, path))
        if random.random() < 0.5:
            await reader.read(64)
            await asyncio.sleep(random.random() / 50)
        writer.transport.abort()


async def bearable_rate(site: SiteServer, path: str) -> float:
    """Return how many sockets a second are an attack on this machine as busy as it is, at most RATE."""
    slots, number = asyncio.Semaphore(20), 200

    async def shake_hands() -> None:
        async with slots:
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(handshake(site, path))
            await reader.read(64)
            writer.transport.abort()

    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(shake_hands())
    return min(RATE, number / (time.monotonic() - begun) / 3)


async def attack(site: SiteServer, path: str, seconds: float, rate: float) -> None:
    begun, number = time.monotonic(), 0
    async with asyncio.TaskGroup() as group:
        while (elapsed := time.monotonic() - begun) < seconds:
            for _ in range(int(elapsed * rate) - number):
                number += 1
                group.create_task(open_and_abort(site, path))
            await asyncio.sleep(0.01)
    assert number > rate * seconds / 2


def resident(site: SiteServer) -> float:
    """The memory of the server's process, in MB."""
    return int(Path(f"/proc/{site.pid}/statm").read_text().split()[1]) * 4096 / 1e6


async def answer_time(page: LivePage, ref: int) -> float:
    """Return how long an event of *page* takes, in seconds."""
    begun = time.monotonic()
    await page.send(type="event", ref=ref, name="nothing")
    await page.until(lambda: {"type": "ack", "ref": ref} in page.frames)
    return time.monotonic() - begun


def slow_ones(times: list[float]) -> float:
    """Return the 95th percentile: a test machine has pauses of its own."""
    return sorted(times)[len(times) * 19 // 20]


async def opening_time(site: SiteServer, person: Person) -> float:
    begun = time.monotonic()
    page = LivePage(site, "/open/0/", person)
    page.html = "not needed"
    await page._connect()
    page._reader = asyncio.create_task(page._read())
    await page.until(lambda: page.frames)
    taken = time.monotonic() - begun
    await page.close()
    return taken


async def test_sockets_that_are_opened_and_dropped_hold_nobody_up(site: SiteServer) -> None:
    async with LivePage(site, "/open/0/", Person(site)) as page:
        rate = await bearable_rate(site, "/open/60/")
        await attack(site, "/open/60/", 1, rate)  # threads and caches are there afterwards
        before = resident(site)
        attacking = asyncio.create_task(attack(site, "/open/60/", 5, rate))
        times: list[float] = []
        while len(times) <= 20 or not attacking.done():
            if attacking.done():
                await attacking
                attacking = asyncio.create_task(attack(site, "/open/60/", 5, rate))
            times.append(await answer_time(page, len(times)))
            await asyncio.sleep(0.02)
        await attacking
        assert slow_ones(times) < 2  # the attack brings up to 18 seconds of mounts every second
        assert resident(site) - before < 30
        async with LivePage(site, "/open/0/", Person(site)) as other:
            await other.until(lambda: (other.online or 0) >= 2)
        await page.until(lambda: page.online == 1)


@pytest.mark.parametrize("visitors", [1, 8])
async def test_slow_mounts_hold_up_no_event(site: SiteServer, visitors: int) -> None:
    people = [Person(site) for _ in range(visitors)]
    async with AsyncExitStack() as stack:
        page = await stack.enter_async_context(LivePage(site, "/open/0/", Person(site)))
        slow = [LivePage(site, "/open/3000/", people[n % visitors]) for n in range(8)]
        for one in slow:
            await stack.enter_async_context(one)
        begun = time.monotonic()
        times: list[float] = []
        while not any(one.frames for one in slow):
            times.append(await answer_time(page, len(times)))
            await asyncio.sleep(0.1)
        assert time.monotonic() - begun > 1
        assert statistics.median(times) < 0.5
        assert slow_ones(times) < 1


async def test_slow_mounts_of_one_visitor_hold_up_no_other_page(site: SiteServer) -> None:
    greedy = Person(site)
    async with AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(LivePage(site, "/open/3000/", greedy)) for _ in range(8)]
        assert await opening_time(site, Person(site)) < 1.5
        assert not any(page.frames for page in slow)


@pytest.mark.parametrize("server", [SiteServer, DeflatingServer])
async def test_large_frames_hold_nobody_up(server: type[SiteServer]) -> None:
    with server({"DJANGO_SETTINGS_MODULE": "tests.cluster.mount_site"}) as site:
        site.allow("was refused|was closed: too many frames")
        other = Person(site)
        idle = [await opening_time(site, other) for _ in range(20)]
        page = LivePage(site, "/open/0/", Person(site))
        socket = await websockets.connect(
            site.url.replace("http", "ws", 1) + page.path,
            origin=websockets.Origin(site.url),
            compression="deflate" if server is DeflatingServer else None,
        )
        closing = asyncio.create_task(send_until_closed(socket))
        times = [await opening_time(site, other)]
        while not closing.done():
            times.append(await opening_time(site, other))
        assert await closing == 4408
        times += [await opening_time(site, other) for _ in range(10)]
        assert statistics.median(times) < 2 * statistics.median(idle) + 0.02


async def send_until_closed(socket: websockets.ClientConnection) -> int | None:
    reading = asyncio.create_task(read_all(socket))
    with contextlib.suppress(websockets.ConnectionClosed):
        async with asyncio.timeout(20):
            while True:
                await socket.send(HEAVY)
                await asyncio.sleep(0.005)
    await reading
    return socket.close_code


async def read_all(socket: websockets.ClientConnection) -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        async for _ in socket:
            pass
