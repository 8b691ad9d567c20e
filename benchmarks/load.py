"""A load client: pages without browsers, in a process that is told what to do by lines of JSON (`benchmarks.crowd`)."""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import websockets

from .moves import Moving
from .pages import Page
from .polling import Poller
from .receiving import Receiver

__all__ = ["Load", "Socket"]

OPENING = 120.0  # seconds
RETRY = 4000  # the close code of a server that wants a page to come back later
PAUSE = 0.5, 2.0  # seconds until it does


class Socket(Receiver):
    """The socket of an open page."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page
        self._answers = [(re.compile(found.encode()), reply) for found, reply in page.answers.items()]
        self._ready = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Open the page, and come back to a server that is too busy, as a browser does."""
        await self._open()
        while self.close_code == RETRY:
            await asyncio.sleep(random.uniform(*PAUSE))
            self.close_code = None
            self._ready.clear()
            await self._open()
        if self.close_code is not None:
            raise ConnectionError(f"The socket was closed with {self.close_code}.")
        page = self.page
        for text in page.then:
            await self._socket.send(text)
        if page.beat:
            self._tasks.append(asyncio.create_task(self._beat()))

    async def _open(self) -> None:
        page = self.page
        self._socket = await websockets.connect(
            page.url,
            origin=websockets.Origin(page.origin),
            additional_headers={"Cookie": page.cookie} if page.cookie else None,
            compression=None,
            open_timeout=OPENING,
            ping_interval=None,
            max_size=None,
        )
        self._tasks = [asyncio.create_task(self._read())]
        with suppress(websockets.ConnectionClosed):
            for text in page.says:
                await self._socket.send(text)
        if page.ready:
            await asyncio.wait_for(self._ready.wait(), OPENING)

    async def say(self, text: str | bytes) -> None:
        await self._socket.send(text)

    async def close(self) -> None:
        for task in self._tasks[1:]:
            task.cancel()
        await self._socket.close()

    def abort(self) -> None:
        """Drop the connection without a close frame."""
        for task in self._tasks:
            task.cancel()
        self._socket.transport.abort()

    async def _read(self) -> None:
        ready = re.compile(self.page.ready.encode())
        try:
            while True:
                data = await self._socket.recv(decode=False)
                self.take(data)
                for found, reply in self._answers:
                    if found.search(data):
                        await self._socket.send(reply)
                if not self._ready.is_set() and ready.search(data):
                    self._ready.set()
        except websockets.ConnectionClosed:
            pass
        self.close_code = self._socket.close_code or 1006
        self._ready.set()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.page.every)
            await self._socket.send(self.page.beat)


class Probe:
    """Says something again and again, each time after the answer, and notes how long that took."""

    def __init__(self, socket: Socket | Poller, text: str, answer: str, every: float) -> None:
        self.socket, self.text, self.every = socket, text, every
        socket.expected = re.compile(answer.encode())
        self.delays: list[float] = []
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            self.socket.known = 0.0
            began = time.perf_counter()
            await self.socket.say(self.text)
            while not self.socket.known:  # noqa: ASYNC110
                await asyncio.sleep(0.0005)
            self.delays.append(self.socket.known - began)
            await asyncio.sleep(self.every)


class Load:
    """Sets of pages by name; each public method is a command."""

    def __init__(self) -> None:
        self._sets: dict[str, list[Socket | Poller]] = {}
        self._probe: Probe | None = None
        self._before = (0, 0)

    async def open(
        self, name: str, pages: list[dict[str, Any]], at_once: int, keep: bool, pattern: str
    ) -> dict[str, Any]:
        """Open pages, *at_once* at a time, and wait until all are. Returns when that began, and failures.

        They expect *pattern*, if there is one.
        """
        turns = asyncio.Semaphore(at_once)
        failures: list[str] = []
        opened = self._sets.setdefault(name, [])

        async def enter(recipe: dict[str, Any]) -> None:
            page = Page(**recipe)
            socket = Poller(page) if page.url.startswith("http") else Socket(page)
            socket.heard = [] if keep else None
            socket.expected = re.compile(pattern.encode()) if pattern else None
            async with turns:
                try:
                    await socket.open()
                except (OSError, TimeoutError, websockets.WebSocketException) as error:
                    failures.append(f"{type(error).__name__}: {error}")
                else:
                    opened.append(socket)

        began = time.perf_counter()
        await asyncio.gather(*map(enter, pages))
        return {"began": began, "took": time.perf_counter() - began, "failures": failures[:3]}

    async def expect(self, names: list[str], pattern: str) -> None:
        """Look for *pattern* from here on in what comes to these pages, and count their frames and bytes."""
        compiled = re.compile(pattern.encode())
        for socket in self._all(names):
            socket.expected, socket.known = compiled, 0.0
        self._before = self._counts(names)

    async def until(self, names: list[str], patience: float) -> dict[str, Any]:
        """Wait until all these pages have what is expected. Returns when each had it, and how many never did."""
        sockets = self._all(names)
        deadline = time.perf_counter() + patience
        while any(not one.known for one in sockets) and time.perf_counter() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        known = [socket.known for socket in sockets]
        return {"known": sorted(filter(None, known)), "missing": known.count(0.0)}

    async def sent(self, names: list[str]) -> dict[str, int]:
        """Frames and bytes that have come to these pages since `expect`."""
        frames, size = self._counts(names)
        return {"frames": frames - self._before[0], "bytes": size - self._before[1]}

    async def poll(self, name: str, at_once: int) -> list[float]:
        """Let each page of a set say something once, *at_once* at a time; return how long each answer took."""
        turns = asyncio.Semaphore(at_once)

        async def one(socket: Socket | Poller) -> float:
            async with turns:
                began = time.perf_counter()
                await socket.say("")
                return time.perf_counter() - began

        return list(await asyncio.gather(*map(one, self._sets[name])))

    async def move(self, name: str, protocol: str, rate: float, seconds: float) -> dict[str, Any]:
        """Let all pages of a set move their pointers; see `Moving.run`."""
        return await Moving(self._sets[name], protocol).run(rate, seconds)

    async def heard(self, name: str) -> list[str]:
        """Return all that has come to the first of these pages, which were opened to *keep* that."""
        return [data.decode() for data in self._sets[name][0].heard or ()]

    async def say(self, name: str, number: int, text: str) -> float:
        """Let one page say something; returns when it did."""
        began = time.perf_counter()
        await self._sets[name][number].say(text)
        return began

    async def close(self, name: str, abort: bool, only: int | None = None) -> None:
        """Close all pages of a set, or one of them; or abort their connections."""
        sockets = self._sets.pop(name, []) if only is None else [self._sets[name].pop(only)]
        if abort:
            for socket in sockets:
                socket.abort()
        else:
            await asyncio.gather(*(socket.close() for socket in sockets), return_exceptions=True)

    async def probe(self, name: str, text: str, answer: str, every: float) -> None:
        """Let the first page of a set say something every so often, and wait for the answer each time."""
        (socket, *_) = self._sets[name]
        self._probe = Probe(socket, text, answer, every)

    async def probed(self) -> list[float]:
        """End the probe; returns how long each answer took, the one that is outstanding included."""
        assert self._probe
        self._probe.task.cancel()
        return sorted(self._probe.delays)

    def _all(self, names: Iterable[str]) -> list[Socket | Poller]:
        return [socket for name in names for socket in self._sets[name]]

    def _counts(self, names: Iterable[str]) -> tuple[int, int]:
        sockets = self._all(names)
        return sum(socket.frames for socket in sockets), sum(socket.bytes for socket in sockets)


async def main() -> None:
    load = Load()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        method: Callable[..., Awaitable[Any]] = getattr(load, command.pop("do"))
        print(json.dumps(await method(**command)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
