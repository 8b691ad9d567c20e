"""Many pointers that move, without browsers: delays until others see them, frames, and the server's cost."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import websockets

from tests.cursors.drawing import Drawing
from tests.servers import Server, SiteServer


class BareServer(SiteServer):
    """Serves an ASGI application without Django."""

    def command(self) -> list[str]:
        options = ["--host", "127.0.0.1", "--ws-per-message-deflate", "false", "--lifespan", "off"]
        application = "tests.cluster.bare_cursors:application"
        return [sys.executable, "-m", "uvicorn", *options, "--port", str(self.port), application]

    def start(self) -> Self:
        return Server.start(self)


def cpu_seconds(pid: int) -> float:
    """Return the processor seconds that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Mover:
    """A page whose pointer is at (step, number of the mover), and which draws the others'."""

    def __init__(self, site: SiteServer, path: str, number: int) -> None:
        self.site, self.path, self.number = site, path, number
        self.sent: list[float] = []  # when it was at each step
        self.frames = 0
        self.bytes = 0
        self.at: dict[int, int] = {}  # others by number: the last step that was seen
        self.delays: list[float] = []
        self.drawing = Drawing()
        self.movers: list[Mover] = []
        self.ready = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._socket = await websockets.connect(
            self.site.url.replace("http", "ws", 1) + self.path,
            origin=websockets.Origin(self.site.url),
            compression=None,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._socket.close()
        await self._reader

    async def show_cursors(self) -> None:
        await self._socket.send('{"type":"cursors"}')

    async def move(self) -> None:
        step = len(self.sent)
        self.sent.append(time.perf_counter())
        frame = {"type": "cursor", "x": step, "y": self.number, "w": 1280, "h": 720}
        await self._socket.send(json.dumps(frame, separators=(",", ":")))

    async def _read(self) -> None:
        async for text in self._socket:
            now = time.perf_counter()
            frame = json.loads(text)
            if frame["type"] == "ready":
                self.ready.set()
            elif frame["type"] == "ping":
                await self._socket.send('{"type":"pong"}')
            elif frame["type"] == "cursors":
                self.frames += 1
                self.bytes += len(text)
                self.drawing.take(frame)
                for _, step, number, *_ in frame.get("moves", ()):
                    if number != self.number and number < len(self.movers) and step > self.at.get(number, -1):
                        self.at[number] = step
                        self.delays.append(now - self.movers[number].sent[step])


@dataclass
class Outcome:
    """Of one run: seconds of the server's processor, of delays, and per viewer frames and bytes a second."""

    cpu: float
    p50: float
    p99: float
    frames: float
    bytes: float
    complete: bool  # whether every page has seen everybody's last position
    missing: list[str] = field(default_factory=list)


async def run(site: SiteServer, path: str, movers: int = 50, rate: float = 20, seconds: float = 5) -> Outcome:
    """All of *movers* move *rate* times a second, spread over the time between."""
    pages = [await Mover(site, path, number).__aenter__() for number in range(movers)]
    try:
        bare = isinstance(site, BareServer)
        for page in pages:
            page.movers = pages
            if not bare:
                await asyncio.wait_for(page.ready.wait(), 30)
                await page.show_cursors()
        await asyncio.sleep(1)
        frames, size, cpu = (
            sum(page.frames for page in pages),
            sum(page.bytes for page in pages),
            cpu_seconds(site.pid),
        )
        began = time.perf_counter()
        await asyncio.gather(
            *(move_on(page, began + n / movers / rate, rate, seconds) for n, page in enumerate(pages))
        )
        try:
            async with asyncio.timeout(15):
                while any(seen_of(page, other) for page in pages for other in pages):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pass
        taken = time.perf_counter() - began
        delays = sorted(delay for page in pages for delay in page.delays)
        missing = [problem for page in pages for other in pages if (problem := seen_of(page, other))]
        return Outcome(
            cpu=cpu_seconds(site.pid) - cpu,
            p50=delays[len(delays) // 2],
            p99=delays[len(delays) * 99 // 100],
            frames=(sum(page.frames for page in pages) - frames) / movers / taken,
            bytes=(sum(page.bytes for page in pages) - size) / movers / taken,
            complete=not missing,
            missing=missing[:5],
        )
    finally:
        for page in pages:
            await page.__aexit__(None, None, None)


def seen_of(page: Mover, other: Mover) -> str | None:
    """Return how *page*'s view of *other* differs from its last position, or None."""
    last = len(other.sent) - 1
    if page is other or page.at.get(other.number, -1) == last:
        return None
    return f"{page.number} sees {other.number} at {page.at.get(other.number)}, not {last}"


async def move_on(page: Mover, begin: float, rate: float, seconds: float) -> None:
    for step in range(round(rate * seconds)):
        await asyncio.sleep(max(0, begin + step / rate - time.perf_counter()))
        await page.move()
