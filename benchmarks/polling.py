"""A page that polls over HTTP, in a load client."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from .pages import Page
from .receiving import Receiver

__all__ = ["Poller"]


class Poller(Receiver):
    """Polls by itself as the page's script does, or when it is told to `say` something, and counts the answers."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page
        self._address = urlsplit(page.url)
        self._body: dict[str, Any] = json.loads(page.says[0])
        self._turn = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        every = await self._poll()
        self._task = asyncio.create_task(self._go_on(every))

    async def say(self, text: str | bytes) -> None:
        """Poll at once, whatever *text* is."""
        await self._poll()

    async def close(self) -> None:
        self._body["bye"] = True
        self._task.cancel()
        await self._poll()
        self.abort()

    def abort(self) -> None:
        self._task.cancel()
        if self._streams:
            self._streams[1].close()

    async def _go_on(self, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            every = await self._poll()

    async def _poll(self) -> float:
        """Send what is known, take the news in, and return the seconds until the next poll."""
        async with self._turn:
            data = await self._post(json.dumps(self._body))
            self.take(data)
            answer = json.loads(data or b"{}")
            for room in self._body["rooms"]:
                news = answer.get("rooms", {}).get(room["room"], {})
                room |= {name: news[name] for name in ("tag", "ticket") if name in news}
            if "seq" in answer:
                self._body["seq"] = answer["seq"]
            return float(answer.get("every", 1))

    async def _post(self, body: str) -> bytes:
        """Return the body of the answer. Raises ``ConnectionError`` unless the status is 2xx."""
        if self._streams is None or self._streams[1].is_closing() or self._streams[0].at_eof():
            source = (self.page.source, 0) if self.page.source else None
            self._streams = await asyncio.open_connection(
                self._address.hostname, self._address.port, local_addr=source
            )
        reader, writer = self._streams
        data = body.encode()
        head = (
            f"POST {self._address.path} HTTP/1.1\r\nHost: {self._address.netloc}\r\nOrigin: {self.page.origin}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        writer.write(head.encode() + data)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        data = await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection", "").lower() == "close":
            writer.close()
        if status.split()[1][0] != "2":
            raise ConnectionError(f"{status}: {data.decode()[:200]}")
        return data
