"""Live pages of real servers, without a browser: the HTTP page of somebody, and then its socket."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Sequence
from http.cookiejar import CookieJar
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, build_opener

import websockets

from tests.client import Client
from tests.servers import SiteServer


class Person:
    """Somebody with a cookie jar, logged in to the example project as *username*, or a guest."""

    def __init__(self, site: SiteServer, username: str = "guest") -> None:
        self.jar = CookieJar()
        self._opener = build_opener(HTTPCookieProcessor(self.jar))
        if username != "guest":
            self.get(site, f"/as/{username}/?next=/counter/")

    def get(self, site: SiteServer, path: str) -> str:
        """The page as it comes over HTTP; an error page too."""
        try:
            with self._opener.open(site.url + path, timeout=30) as response:
                return str(response.read().decode())
        except HTTPError as error:
            return error.read().decode()

    @property
    def cookies(self) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.jar)

    @property
    def session_key(self) -> str | None:
        return next((cookie.value for cookie in self.jar if cookie.name == "sessionid"), None)


def number_online(regions: dict[str, str]) -> int | None:
    found = re.search(r"(\d+)\s+(?:users?\s+)?online", " ".join(regions.values()))
    return int(found[1]) if found else None


class LivePage(Client):
    """An open page of a real server: over HTTP, then its socket, whose frames are taken in as they come."""

    def __init__(self, site: SiteServer, path: str, person: Person) -> None:
        super().__init__()
        self.site, self.path, self.person = site, path, person
        self.html = ""
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        self.html = await asyncio.to_thread(self.person.get, self.site, self.path)
        await self._connect()
        self._reader = asyncio.create_task(self._read())

    async def _connect(self) -> None:
        self._socket = await websockets.connect(
            self.site.url.replace("http", "ws", 1) + self.path,
            additional_headers={"Cookie": self.person.cookies},
            origin=websockets.Origin(self.site.url),
            compression=None,
        )

    async def close(self, code: int = 1000) -> None:
        await self._socket.close(code)
        await self._reader

    def abort(self) -> None:
        """Drop the connection without a close frame, as a killed browser does."""
        self._socket.transport.abort()

    def __str__(self) -> str:
        return f"{self.path} of {self.site.url}"

    async def send(self, **frame: Any) -> None:
        await self._socket.send(json.dumps(frame))

    async def more(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                self.take_in(json.loads(text))
                if self.frames[-1]["type"] == "ping":
                    await self.send(type="pong")
                self._changed.set()
        except websockets.ConnectionClosed:
            pass
        finally:
            self._changed.set()

    @property
    def close_code(self) -> int | None:
        return self._socket.close_code

    @property
    def online(self) -> int | None:
        """The number in front of "online" or "users online" on the page."""
        return number_online(self.regions)

    @property
    def counts(self) -> list[int]:
        """All such numbers that have ever been shown."""
        shown = [number_online(frame["regions"]) for frame in self.frames if frame["type"] == "render"]
        return [count for count in shown if count is not None]

    @property
    def flashes(self) -> list[str]:
        """The messages that `handle_presence_join` and `handle_presence_leave` have pushed to the page."""
        return [frame["payload"]["message"] for frame in self.frames if frame.get("event") == "flash"]

    async def until_online(self, count: int) -> None:
        await self.until(lambda: self.online == count)

    async def until_closed(self) -> None:
        await self.until(lambda: self.close_code is not None)


class LastingPage(LivePage):
    """A page that comes back as presence.js does: to the first of *sites*, and if that is down to any of them."""

    def __init__(self, sites: Sequence[SiteServer], path: str, person: Person) -> None:
        super().__init__(sites[0], path, person)
        self.sites = sites
        self.returns = 0
        self._over = False

    async def close(self, code: int = 1000) -> None:
        self._over = True
        await super().close(code)

    async def _read(self) -> None:
        await super()._read()
        while not self._over:
            await self._come_back()
            await super()._read()

    async def _come_back(self) -> None:
        longest = 1.0
        while not self._over:
            await asyncio.sleep(random.uniform(0, longest))
            longest = min(4.0, 2 * longest)
            try:
                await self._connect()
                self.take_in(json.loads(await self._socket.recv()))
            except (OSError, websockets.WebSocketException):
                self.site = random.choice(self.sites)
                continue
            assert self.frames[-1]["type"] == "ready"
            self.returns += 1
            return
