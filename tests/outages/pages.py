"""A page of the room, whose socket comes back as presence.js does."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from typing import Any

import websockets

from .truth import Stay, Truth

__all__ = ["Page"]

PATIENCE = 30.0
FIRST_DELAY, LONGEST_DELAY = 1.0, 4.0  # as in presence.js


class Page:
    """The page of *user* at the server on *port*; *wrong* collects the wrong leaves of all pages."""

    def __init__(self, truth: Truth, wrong: list[tuple[str, str]], user: str, port: int) -> None:
        self.user, self.port = user, port
        self.shown: set[str] | None = None  # users, since the page is live
        self.live = asyncio.Event()
        self._truth, self._wrong = truth, wrong
        self._socket: websockets.ClientConnection | None = None
        self._stay: Stay | None = None
        self._over = False

    async def open(self) -> None:
        """Return when the page is live."""
        self._task = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(PATIENCE):  # wait_for() of Python 3.11 may swallow a cancellation
                await self.live.wait()
        except TimeoutError:
            await self.close()
            raise AssertionError(f"The page of {self.user} did not open.") from None

    async def close(self) -> None:
        self._over = True
        if self._stay:
            self._stay.end(1000, time.monotonic())
        if self._socket:
            await self._socket.close(1000)
        await self._task

    async def _run(self) -> None:
        attempts = 0
        while not self._over:
            stay = self._stay = self._truth.comes(self.user)
            code = 1006
            try:
                async with websockets.connect(
                    f"ws://127.0.0.1:{self.port}/room/?user={self.user}",
                    origin=websockets.Origin(f"http://127.0.0.1:{self.port}"),
                    compression=None,
                    ping_interval=None,
                ) as self._socket:
                    if self._over:
                        break  # closed while it connected
                    try:
                        async for text in self._socket:
                            frame = json.loads(text)
                            if frame["type"] == "ping":
                                await self._socket.send('{"type": "pong"}')
                            self._take_in(frame, stay)
                    finally:
                        code = self._socket.close_code or code
            except (OSError, EOFError, websockets.WebSocketException):
                pass  # the page tries again
            attempts = 1 if self.live.is_set() else attempts + 1
            self.live.clear()
            self.shown = None
            self._socket = None
            stay.end(code, time.monotonic())
            if not self._over:
                await asyncio.sleep(random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2 ** (attempts - 1))))

    def _take_in(self, frame: dict[str, Any], stay: Stay) -> None:
        match frame:
            case {"type": "ready"}:
                self.live.set()
                stay.live(time.monotonic())
            case {"type": "render", "regions": regions}:
                if shown := re.search(r"\[(.*?)\]", " ".join(regions.values())):
                    self.shown = set(shown[1].split())
            case {"type": "push", "event": "left", "payload": user} if self._truth.is_wrong(
                user, time.monotonic()
            ):
                self._wrong.append((self.user, user))
