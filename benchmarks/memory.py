"""What an idle page costs in memory, beside a socket that does nothing: run with ``python -m benchmarks.memory``."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import websockets

from tests.servers import Server, SiteServer

AT_ONCE = 50
WARM_UP = 100


async def bare(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An application that accepts sockets, and nothing else."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass


class BareServer(SiteServer):
    """uvicorn with `bare`."""

    def command(self) -> list[str]:
        *command, _ = super().command()
        return [*command, "benchmarks.memory:bare"]

    def start(self) -> BareServer:
        Server.start(self)
        return self


def resident(pid: int) -> int:
    """The memory of a process, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def open_pages(site: SiteServer, path: str, count: int) -> list[websockets.ClientConnection]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def open_one() -> websockets.ClientConnection:
        async with turns:
            page = await websockets.connect(
                site.url.replace("http", "ws", 1) + path,
                origin=websockets.Origin(site.url),
                compression=None,
                open_timeout=60,
                ping_interval=None,
            )
            if path != "/":
                await page.recv()  # ready
                await page.recv()  # render
            return page

    return await asyncio.gather(*(open_one() for _ in range(count)))


async def close_pages(pages: Sequence[websockets.ClientConnection]) -> None:
    await asyncio.gather(*(page.close() for page in pages))


async def per_page(site: SiteServer, path: str, count: int) -> float:
    """KiB for each of *count* open pages, when all is quiet again."""
    await close_pages(await open_pages(site, path, WARM_UP))
    await asyncio.sleep(4)
    before = resident(site.pid)
    pages = await open_pages(site, path, count)
    await asyncio.sleep(8)
    cost = (resident(site.pid) - before) / count
    await close_pages(pages)
    return cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=1000)
    count = parser.parse_args().pages
    with BareServer() as bare_server:
        socket = asyncio.run(per_page(bare_server, "/", count))
    print(f"a bare socket under uvicorn          {socket:6.1f} KiB", flush=True)
    with SiteServer() as site:
        page = asyncio.run(per_page(site, "/counter/", count))
    print(f"a live page of the counter           {page:6.1f} KiB, of which {page - socket:.1f} are ours")


if __name__ == "__main__":
    main()
