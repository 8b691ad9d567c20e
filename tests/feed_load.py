"""Many pages that watch one group, without browsers: the time until all know of a join, and the server's cost."""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.request
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import websockets

from tests.servers import Server, SiteServer

__all__ = ["SITE", "BareFeed", "Client", "Outcome", "resident", "run", "ticket"]

SITE = {"DJANGO_SETTINGS_MODULE": "tests.cluster.feed_settings"}


class BareFeed(SiteServer):
    """Serves an ASGI application without Django."""

    def command(self) -> list[str]:
        options = ["--host", "127.0.0.1", "--ws-per-message-deflate", "false", "--lifespan", "off"]
        application = "tests.cluster.bare_feed:application"
        return [sys.executable, "-m", "uvicorn", *options, "--port", str(self.port), application]

    def start(self) -> Self:
        return Server.start(self)


def ticket(site: SiteServer, key: str, *, watch: bool = False) -> dict[str, str]:
    """Return the room of a group, and a ticket."""
    with urllib.request.urlopen(
        f"{site.url}/tickets/{key}/{'?watch' if watch else ''}", timeout=30
    ) as response:
        issued: dict[str, str] = json.loads(response.read())
        return issued


def loop_seconds(pid: int) -> float:
    """Return what the main thread of a process has taken of the processors so far, to the microsecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def resident(pid: int) -> int:
    """The memory of a process, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ValueError("There is no such line.")


class Client:
    """The socket of a feed page, or of the bare application."""

    def __init__(self, site: SiteServer) -> None:
        self.site = site
        self.frames: list[dict[str, Any]] = []
        self.last = 0.0  # when the last frame came
        self.close_code: int | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._socket = await websockets.connect(
            self.site.url.replace("http", "ws", 1) + "/presence/",
            origin=websockets.Origin(self.site.url),
            compression=None,
            open_timeout=60,
            ping_interval=None,  # as in browsers
        )
        self._reader = asyncio.create_task(self._read())
        if not isinstance(self.site, BareFeed):
            await self.until("ready")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._socket.close()
        await self._reader

    async def say(self, **frame: Any) -> None:
        await self._socket.send(json.dumps(frame))

    async def join(self, issued: dict[str, str], **want: Any) -> None:
        """Join the room of a ticket, and wait for all of it."""
        await self.say(type="join", **issued, want=want or {"list": True})
        await self.until("state", room=issued["room"])

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Wait for a frame of this type that has these *fields*; return it."""
        async with asyncio.timeout(60):
            while True:
                for frame in self.frames:
                    if frame["type"] == kind and fields.items() <= frame.items():
                        return frame
                assert self.close_code is None, self.close_code
                self._news.clear()
                await self._news.wait()

    async def until_number(self, frames: int) -> None:
        async with asyncio.timeout(60):
            while len(self.frames) < frames:
                self._news.clear()
                await self._news.wait()

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                self.last = time.perf_counter()
                frame = json.loads(text)
                if frame["type"] == "ping":
                    await self.say(type="pong")
                else:
                    self.frames.append(frame)
                    self._news.set()
        except websockets.ConnectionClosed:
            pass
        self.close_code = self._socket.close_code
        self._news.set()


@dataclass
class Outcome:
    """Seconds until the last page knew of a join, the server's processor seconds for each, and bytes for each socket."""

    last: float  # the median
    cpu: float
    memory: float


async def run(site: SiteServer, pages: int = 200, joins: int = 15, groups: int = 1) -> Outcome:
    """Let *pages* watch *groups*, in one of which one joins after the other."""
    bare, room = isinstance(site, BareFeed), {"room": "r" * 16}
    taking_part = room if bare else ticket(site, "crowd")
    watching = [] if bare else [ticket(site, "crowd", watch=True)]
    watching += [ticket(site, f"crowd-{number}", watch=True) for number in range(1, groups) if not bare]
    async with AsyncExitStack() as stack:
        async with Client(site) as first:  # what a process makes once
            for issued in watching:
                await first.join(issued)
        before = resident(site.pid)
        clients = []
        for _ in range(pages):
            client = await stack.enter_async_context(Client(site))
            for issued in watching:
                await client.join(issued)
            clients.append(client)
        memory = (resident(site.pid) - before) / pages
        joiners = [await stack.enter_async_context(Client(site)) for _ in range(joins)]
        person = {
            "id": "x" * 16,
            "joined_at": 1795741297.0607295,
            "name": "Violet Gazelle",
            "color": "#665bdc",
        }
        diff = {"type": "diff", **room, "count": 1, "joins": [person]}
        delays = []
        cpu = loop_seconds(site.pid)
        for joiner in joiners:
            known = [len(client.frames) for client in clients]
            began = time.perf_counter()
            if bare:
                await joiner.say(**diff)
            else:
                await joiner.say(type="join", **taking_part, want={})
            for client, number in zip(clients, known, strict=True):
                await client.until_number(number + 1)
            delays.append(max(client.last for client in clients) - began)
            await asyncio.sleep(0.1)
        cpu = (loop_seconds(site.pid) - cpu) / joins
        return Outcome(sorted(delays)[joins // 2], cpu, memory)
