"""A project's own consumers on two server processes, one of which dies, stops, or has clients that break off."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.cluster.conftest import LEASE_TTL
from tests.servers import RedisServer, SiteServer
from tests.until import until

GRACE = 0.3
RENEWAL = LEASE_TTL / 6
DRAIN_GRACE = 8  # more than a return takes on a busy machine
SLACK = 3.0  # seconds, on a machine that has other things to do

kinds = pytest.mark.parametrize("kind", ["chat", "sync"])
Pair = tuple["ChatServer", "ChatServer"]


class ChatServer(SiteServer):
    application = "tests.cluster.chat_app:application"


@pytest.fixture(params=["uvicorn", "daphne"])
def servers(request: pytest.FixtureRequest, redis: RedisServer, tmp_path: Path) -> Iterator[Pair]:
    variables = {
        "DB": str(tmp_path / "db.sqlite3"),
        "REDIS_URL": redis.url(),
        "DJANGO_SETTINGS_MODULE": "tests.site_settings",
        "PRESENCE": json.dumps({"LEASE_TTL": LEASE_TTL, "GRACE": GRACE, "DRAIN_GRACE": DRAIN_GRACE}),
    }
    pair = ChatServer(variables, server=request.param), ChatServer(variables, server=request.param)
    with ExitStack() as stack:
        with ThreadPoolExecutor() as pool:
            list(pool.map(stack.enter_context, pair))
        yield pair


class Member:
    """An open socket, and the frames that it was sent."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.told: list[Any] = []
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for text in self.socket:
                self.told.append(json.loads(text))
        except websockets.ConnectionClosed:
            pass

    async def until(self, *frame: Any) -> None:
        await until(lambda: list(frame) in self.told, 15)

    def of(self, user: str) -> list[str]:
        """Return the frames about *user*."""
        return [what for what, who in self.told if who == user]


async def enter(server: SiteServer, kind: str, user: str) -> Member:
    url = server.url.replace("http", "ws", 1) + f"/{kind}/1/?user={user}"
    return Member(await websockets.connect(url, origin=websockets.Origin(server.url), compression=None))


@asynccontextmanager
async def member(server: SiteServer, kind: str, user: str) -> AsyncIterator[Member]:
    one = await enter(server, kind, user)
    try:
        yield one
    finally:
        await one.socket.close()
        await one.reader


def knows(one: Member, user: str) -> bool:
    """Return whether *one* was told of *user*, when it came or since."""
    return bool(one.told) and (user in one.told[0][1] or "join" in one.of(user))


@kinds
async def test_a_user_on_a_killed_process_is_gone_after_its_lease(servers: Pair, kind: str) -> None:
    a, b = servers
    async with member(a, kind, "ada") as ada, member(a, kind, "both") as both:
        grace = await enter(b, kind, "grace")
        second = await enter(b, kind, "both")
        for one in (ada, both, grace, second):
            for user in ("ada", "grace", "both"):
                await until(partial(knows, one, user), 15)
        await grace.socket.send(json.dumps("hello"))
        await ada.until("said", "hello")
        b.kill()
        began = time.monotonic()
        await ada.until("leave", "grace")
        assert LEASE_TTL - RENEWAL - 0.1 < time.monotonic() - began < LEASE_TTL + 2 * RENEWAL + SLACK
        assert "leave" not in ada.of("both") + both.of("both")
        await asyncio.gather(grace.reader, second.reader)


@kinds
async def test_a_visitor_who_moves_on_from_a_stopping_server_has_never_been_away(
    servers: Pair, kind: str
) -> None:
    a, b = servers
    b.allow("Unexpected exception while cleaning-up channel")  # channels_redis, when daphne cancels it
    async with member(a, kind, "ada") as ada:
        grace = await enter(b, kind, "grace")
        await ada.until("join", "grace")
        await asyncio.to_thread(b.stop)
        await grace.reader
        async with member(a, kind, "grace") as again:
            await again.until("here", ["ada", "grace"])
            await asyncio.sleep(LEASE_TTL + 2 * RENEWAL)
            assert ada.of("grace") == ["join"]
        await ada.until("leave", "grace")


@kinds
async def test_clients_that_break_off_while_they_are_told_much_leave_no_error_in_the_log(
    servers: Pair, kind: str
) -> None:
    a, b = servers
    async with member(a, kind, "ada") as ada:
        for n in range(5):
            async with AsyncExitStack() as stack:
                crowd = [await enter((a, b)[i % 2], kind, f"{n}-{i}") for i in range(20)]
                for one in crowd:
                    stack.push_async_callback(one.socket.close)
                for one in crowd:
                    await until(lambda one=one: one.told, 15)  # type: ignore[misc]
                    await one.socket.send(json.dumps("hello"))
                for one in crowd[::2]:
                    one.socket.transport.abort()
        await until(
            lambda: all(ada.of(f"{n}-{i}")[-1:] == ["leave"] for n in range(5) for i in range(20)), 40
        )
