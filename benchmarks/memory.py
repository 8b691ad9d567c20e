"""The memory of an idle page, beside a socket that does nothing: run with ``python -m benchmarks.memory``."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import tracemalloc
import urllib.request
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import websockets
from asgiref.typing import Scope

from tests.servers import Server, SiteServer

AT_ONCE = 50
FIRST = 100  # pages that are open before it is measured: what the first ones need, all share
TRACED = 200  # tracing takes its time
# No page is pinged during a measurement, and pages that open do not make all others render each time.
PRESENCE = {"HEARTBEAT_INTERVAL": 3000, "TIMEOUT": 6000, "REFRESH_INTERVAL": 2}


async def bare(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An application that accepts sockets, sends each a frame, and nothing else."""
    if scope["type"] == "http":
        await answer(send, "")
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "{}"})
        while (await receive())["type"] != "websocket.disconnect":
            pass


async def traced(scope: Scope, receive: Any, send: Any) -> None:
    """The example site, and at ``/memory/`` the allocations since the last request there, by line of code."""
    from example_project.asgi import application

    if scope["type"] != "http" or scope["path"] != "/memory/":
        await application(scope, receive, send)
        return
    global _before
    gc.collect()
    if not tracemalloc.is_tracing():
        tracemalloc.start()
        lines = []
    else:
        difference = tracemalloc.take_snapshot().compare_to(_before, "lineno")
        lines = [
            (f"{one.traceback[0].filename}:{one.traceback[0].lineno}", one.size_diff)
            for one in difference
            if "tracemalloc" not in one.traceback[0].filename
        ]
    _before = tracemalloc.take_snapshot()
    await answer(send, json.dumps(lines))


_before: tracemalloc.Snapshot


async def answer(send: Any, text: str) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


class OtherServer(SiteServer):
    """uvicorn with an application of this module."""

    def __init__(self, application: str) -> None:
        super().__init__(VARIABLES)
        self.application = application

    def command(self) -> list[str]:
        *command, _ = super().command()
        return [*command, f"benchmarks.memory:{self.application}"]


VARIABLES = {"DJANGO_SETTINGS_MODULE": "tests.site_settings", "PRESENCE": json.dumps(PRESENCE)}


def resident(server: Server) -> int:
    """The memory of a server, in KiB."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def allocated(site: SiteServer) -> dict[str, int]:
    """The bytes that each line has allocated since the last time, of a traced site."""
    with urllib.request.urlopen(site.url + "/memory/", timeout=60) as response:
        return dict(json.load(response))


class Pages:
    """The sockets of pages, and what was last sent to each."""

    def __init__(self, site: SiteServer, path: str) -> None:
        self._url = site.url.replace("http", "ws", 1) + path
        self._origin = websockets.Origin(site.url)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self.last: dict[int, str] = {}

    async def open(self, stack: AsyncExitStack, count: int, shown: str) -> None:
        """Open *count* more, and wait until all show *shown*."""
        await asyncio.gather(*(self._open_one(stack) for _ in range(count)))
        while not all(shown in text for text in self.last.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    async def _open_one(self, stack: AsyncExitStack) -> None:
        async with self._turns:
            page = await websockets.connect(
                self._url, origin=self._origin, compression=None, open_timeout=60, ping_interval=None
            )
            stack.push_async_callback(page.close)
            number = len(self.last)
            self.last[number] = str(await page.recv())
        reader = asyncio.create_task(self._read(page, number))
        stack.callback(reader.cancel)

    async def _read(self, page: websockets.ClientConnection, number: int) -> None:
        async for text in page:
            self.last[number] = str(text)


async def measure(site: SiteServer, path: str, count: int, shown: str) -> tuple[float, dict[str, int]]:
    """KiB for each of *count* open pages; of a traced site, the bytes for each of them by line."""
    is_traced = isinstance(site, OtherServer) and site.application == "traced"
    pages = Pages(site, path)
    async with AsyncExitStack() as stack:
        await pages.open(stack, FIRST, shown.format(FIRST))
        if is_traced:
            await asyncio.to_thread(allocated, site)
        before = resident(site)
        await pages.open(stack, count, shown.format(FIRST + count))
        lines = await asyncio.to_thread(allocated, site) if is_traced else {}
        return (resident(site) - before) / count, {line: size // count for line, size in lines.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=0, help="show so many lines that allocate most")
    options = parser.parse_args()
    with OtherServer("bare") as bare_server:
        socket, _ = asyncio.run(measure(bare_server, "/", options.pages, ""))
    print(f"a bare socket under uvicorn    {socket:6.1f} KiB", flush=True)
    with SiteServer(VARIABLES) as site:
        page, _ = asyncio.run(measure(site, "/counter/", options.pages, "{} online"))
    print(f"a live page of the counter     {page:6.1f} KiB, {page - socket:.1f} more", flush=True)
    if options.lines:
        with OtherServer("traced") as site:
            _, lines = asyncio.run(measure(site, "/counter/", TRACED, "{} online"))
        print(f"{sum(lines.values()):8} bytes are allocated for each, by line:")
        for line, size in sorted(lines.items(), key=lambda item: -item[1])[: options.lines]:
            print(f"{size:8} bytes  {line}")


if __name__ == "__main__":
    main()
