"""A live page for tests, open without a browser."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from django.test import AsyncClient

from ..live import LiveViewConsumer
from ..live.placing import content_of
from ..tasks import start
from .ending import aclose_presence

__all__ = ["EventRefused", "LivePage"]

SCHEMES = {"http": "ws", "https": "wss"}
_open_pages: Counter[asyncio.AbstractEventLoop] = Counter()


class EventRefused(AssertionError):
    """The server has answered an event of a page with an error; *code* is one of the protocol's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class LivePage:
    """A page as a browser opens it, over HTTP and then its socket, with the cookies and headers of *client*::

        async with LivePage("/document/42/", client=self.async_client) as page:
            await page.event("wave")
            await page.until("2 online")

    The block is entered when the page is live. When the last one on a loop is left, everybody leaves, and nothing of
    presence goes on running. A wait of more than *timeout* seconds is an ``AssertionError``.
    """

    def __init__(self, path: str, client: AsyncClient | None = None, *, timeout: float = 5.0) -> None:
        self.path = path
        self.client = client or AsyncClient()
        self.timeout = timeout
        self.html = ""  # the whole page, as last received
        self.close_code: int | None = None  # the code with which the server has closed the socket
        self._frames: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._last_ref = 0

    async def __aenter__(self) -> Self:
        response: Any = await self.client.get(self.path)
        assert response.status_code == 200, f"{self.path} answers {response.status_code}."
        self.html = response.content.decode(response.charset)
        _open_pages[asyncio.get_running_loop()] += 1
        self._socket = start(self._serve(response.asgi_request.scope))
        try:
            await self._until(lambda: any("regions" in frame for frame in self._frames), "is not live")
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._leave()

    async def event(self, name: str, /, **params: Any) -> None:
        """Send an event, and wait until it is handled and shown. Raises ``EventRefused``."""
        self._last_ref = ref = self._last_ref + 1
        self._say(type="event", ref=ref, name=name, params=params)
        await self._until(lambda: self._answer(ref), f"has no answer to {name!r}")
        answer = self._answer(ref)
        if answer["type"] == "error":
            raise EventRefused(answer["code"], answer["message"])

    async def until(self, *texts: str) -> str:
        """Wait until all of *texts* are in the page; return its html."""
        await self._until(lambda: all(text in self.html for text in texts), f"does not show {texts}")
        return self.html

    async def until_closed(self) -> int:
        """Wait until the server closes the socket; return the code."""
        await self._until(lambda: self.close_code is not None, "was not closed")
        assert self.close_code is not None
        return self.close_code

    async def pushed(self, event: str, count: int = 1) -> list[Any]:
        """Wait for at least *count* events *event* pushed by the view; return the payloads of all."""
        return await self._payloads("push", event, count)

    async def broadcasts(self, event: str, count: int = 1) -> list[Any]:
        """Wait for at least *count* broadcasts of *event*; return the payloads of all."""
        return await self._payloads("event", event, count)

    async def _payloads(self, kind: str, event: str, count: int) -> list[Any]:
        def payloads() -> list[Any]:
            return [
                frame["payload"]
                for frame in self._frames
                if (frame["type"], frame.get("event")) == (kind, event)
            ]

        await self._until(lambda: len(payloads()) >= count, f"has not got {count} times {event!r}")
        return payloads()

    def _answer(self, ref: int) -> dict[str, Any]:
        return next((frame for frame in self._frames if frame.get("ref") == ref), {})

    async def _until(self, condition: Callable[[], object], failure: str) -> None:
        try:
            async with asyncio.timeout(self.timeout):
                while not condition():
                    assert self.close_code is None, f"{self.path} {failure}: closed with {self.close_code}."
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{self.path} {failure} after {self.timeout} s: {self.html}") from None

    # The socket

    async def _serve(self, page: dict[str, Any]) -> None:
        cookies = "; ".join(f"{name}={morsel.coded_value}" for name, morsel in self.client.cookies.items())
        headers = dict(page["headers"])
        origin = page["scheme"].encode() + b"://" + headers[b"host"]
        headers |= {b"cookie": cookies.encode("ascii"), b"origin": origin}
        scope = page | {
            "type": "websocket",
            "scheme": SCHEMES[page["scheme"]],
            "headers": list(headers.items()),
        }
        self._inbox.put_nowait({"type": "websocket.connect"})
        await LiveViewConsumer.as_asgi()(scope, self._inbox.get, self._hear)

    def _say(self, **frame: Any) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", "text": json.dumps(frame)})

    async def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.close":
            self.close_code = message.get("code", 1000)
        elif message["type"] == "websocket.send":
            frame = json.loads(message["text"])
            self._frames.append(frame)
            for region, html in frame.get("regions", {}).items():
                self._show(region, html)
        self._news.set()

    def _show(self, region: str, html: str) -> None:
        if region == "*":
            self.html = html
            return
        span = content_of(self.html, region)
        if span is None:
            self._say(type="page")
        else:
            self.html = self.html[: span.start] + html + self.html[span.stop :]

    async def _leave(self) -> None:
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.timeout):
                await self._socket
        finally:
            _open_pages[loop] -= 1
            if not _open_pages[loop]:
                del _open_pages[loop]
                await aclose_presence()
