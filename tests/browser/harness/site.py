"""An ASGI site with a strict policy: pages, the package's static files, and a socket that the test plays."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

import djust_presence
from tests.browser.harness.polling import BOUND
from tests.until import until

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

POLICY = "default-src 'self'"
STATIC = {
    **{path.name: path for path in Path(djust_presence.__path__[0], "static/djust_presence").glob("*.js")},
}
SCRIPT = (
    '<script src="/static/patch.js"></script>'
    '<script src="/static/base.js" defer data-cursors="/static/cursors.js" data-socket-prefix="{prefix}"></script>'
    '<script src="/static/forms.js" defer></script>'
    '<script src="/static/presence.js" defer></script>'
)


class Wire:
    """The server's end of one socket."""

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.url: str = scope["path"] + (
            "?" + scope["query_string"].decode() if scope["query_string"] else ""
        )
        self.finished = asyncio.Event()
        self._receive = receive
        self._send = send

    async def send(self, kind: str, /, **fields: Any) -> None:
        """Send one frame."""
        await self._send({"type": "websocket.send", "text": json.dumps({"type": kind, **fields})})

    async def ready(self, ping: float = 30) -> None:
        await self.send("ready", version=1, ping=ping)

    async def render(self, html: str, region: str = "live-1") -> None:
        await self.send("render", regions={region: html})

    async def read(self) -> dict[str, Any]:
        """The next frame of the page."""
        message = await self._next()
        assert message["type"] == "websocket.receive", f"the page closed the socket: {message}"
        frame: dict[str, Any] = json.loads(message["text"])
        return frame

    async def gone(self) -> int:
        """The code with which the page closed the socket, after frames that nobody read."""
        while (message := await self._next())["type"] != "websocket.disconnect":
            pass
        self.finished.set()
        return int(message["code"])

    async def close(self, code: int, reason: str = "") -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})
        self.finished.set()

    async def _next(self) -> Message:
        return await asyncio.wait_for(self._receive(), BOUND)


class Site:
    """Answers every path but `/static/` with the same document, around `body` or what there is for the path.

    It runs in the test's own loop and can be stopped and started again on the same port.
    """

    def __init__(self) -> None:
        self.body = '<live-region id="live-1"></live-region>'
        self.head = ""
        self.pages: dict[str, str] = {}
        self.plain: dict[str, str] = {}  # pages without the script
        self.prefix = ""
        self.script = SCRIPT
        self.policy = POLICY
        self.static = dict(STATIC)
        self.requests: list[str] = []
        self.accepting = asyncio.Event()
        self.accepting.set()
        self._wires: asyncio.Queue[Wire] = asyncio.Queue()
        self._open: set[Wire] = set()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        config = uvicorn.Config(
            self, host="127.0.0.1", port=self.port, lifespan="off", log_level="error", ws="websockets-sansio"
        )
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server.serve())
        await until(lambda: self._server.started, BOUND)

    async def stop(self) -> None:
        """Go down at once: every socket ends, as when a process is killed."""
        self._server.should_exit = self._server.force_exit = True
        for wire in self._open:
            wire.finished.set()
        await self._task
        # Of sockets that were never accepted: uvicorn leaves them to the garbage collector, wherever that strikes.
        left = set(self._server.server_state.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        # Of a page that was back before the server had gone.
        self._wires = asyncio.Queue()

    async def wire(self) -> Wire:
        """The next socket that a page opens, accepted."""
        return await asyncio.wait_for(self._wires.get(), BOUND)

    @property
    def unclaimed_wires(self) -> int:
        return self._wires.qsize()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._serve_socket(Wire(scope, receive, send), receive, send)
        else:
            self.requests.append(f"{scope['method']} {scope['path']}")
            await self._serve_page(scope["path"], send)

    async def _serve_socket(self, wire: Wire, receive: Receive, send: Send) -> None:
        await receive()
        await self.accepting.wait()
        await send({"type": "websocket.accept"})
        self._open.add(wire)
        self._wires.put_nowait(wire)
        await wire.finished.wait()
        self._open.discard(wire)

    async def _serve_page(self, path: str, send: Send) -> None:
        status, kind, content = 200, "text/html; charset=utf-8", b""
        if path.startswith("/static/"):
            file = self.static.get(path.removeprefix("/static/"))
            kind = "text/javascript"
            status, content = (200, file.read_bytes()) if file else (404, b"")
        elif path != "/favicon.ico":
            script = self.script.format(prefix=self.prefix)
            body = self.plain.get(path) or self.pages.get(path, self.body) + script
            head = f"<meta charset=utf-8><title>Harness</title>{self.head}"
            content = f"<!doctype html><html><head>{head}</head><body>{body}</body></html>".encode()
        headers = [(b"content-type", kind.encode()), (b"content-security-policy", self.policy.encode())]
        with contextlib.suppress(OSError):
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": content})
