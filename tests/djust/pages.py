"""Visitors of a site with djust's views: pages over HTTP, and then djust's own consumer behind them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from channels.sessions import SessionMiddlewareStack
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser, User
from djust.websocket import LiveViewConsumer

from tests import pages

__all__ = ["DjustPage", "DjustVisitor", "djust_site"]

PATIENCE = 30
Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def djust_site(templates: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a djust site with these templates."""
    from django.conf import settings

    return pages.site(templates) | {
        "INSTALLED_APPS": [*settings.INSTALLED_APPS, "djust"],
        "LIVEVIEW_ALLOWED_MODULES": ["tests"],
        "LIVEVIEW_CONFIG": {"rate_limit": {"max_connections_per_ip": 10_000}},
    }


def logged_in(inner: Application) -> Application:
    """`tests.pages.who_is_here`, on the socket."""

    async def middleware(scope: dict[str, Any], receive: Any, send: Any) -> None:
        name = scope["cookies"].get("user")
        user: Any = AnonymousUser()
        if name:
            user = User(pk=pages.PEOPLE[name], username=name)
            user.profile = SimpleNamespace(avatar_url=f"/{name}.png")
        await inner(scope | {"user": user}, receive, send)

    return middleware


class DjustPage(WebsocketCommunicator):
    """The socket of an open page, and what it has got so far."""

    def __init__(self, path: str, view: str, headers: list[tuple[bytes, bytes]]) -> None:
        consumer = LiveViewConsumer.as_asgi()

        async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
            async def send_to_reader(message: dict[str, Any]) -> None:
                await self.reads.wait()
                await send(message)

            await consumer(scope, receive, send_to_reader)

        super().__init__(SessionMiddlewareStack(logged_in(application)), "/ws/live/", headers=headers)
        self.path, self.view = path, view
        self.reads = asyncio.Event()  # without it, whoever sends to this page waits
        self.reads.set()
        self.frames: list[dict[str, Any]] = []
        self.html = ""

    async def mount(self, **params: str) -> None:
        await self.send_json_to(
            {"type": "mount", "view": self.view, "url": self.path, "params": params, "has_prerendered": True}
        )

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == kind]

    def pushed(self, event: str) -> list[Any]:
        """The payloads of what has come as a ``djust:push_event``."""
        return [one["payload"] for one in self.of_type("push_event") if one["event"] == event]

    def for_script(self, kind: str) -> list[Any]:
        """The payloads of this kind that have come for our script."""
        return [one["payload"] for one in self.of_type("djust_presence") if one["kind"] == kind]

    async def frame(self) -> dict[str, Any]:
        """The next frame. After one that patches the page, the page is asked for as a whole.

        djust keeps one for that, and loses it when it is rendered while it is asked: then it has to be rendered again.
        """
        frame: dict[str, Any] = json.loads(await self.receive_from(timeout=PATIENCE))
        self.frames.append(frame)
        if frame["type"] == "error":
            assert "Recovery HTML" in frame["error"], frame
            await self.send_json_to({"type": "url_change", "params": {}, "uri": self.path})
        elif frame["type"] in ("mount", "html_recovery", "html_update"):
            self.html = frame.get("html", self.html)  # which a restored view's mount leaves out
        elif frame["type"] == "patch":
            await self.send_json_to({"type": "request_html"})
        return frame

    async def until(self, *texts: str) -> str:
        """Take frames in until the page shows all of *texts*."""
        while not all(text in self.html for text in texts):
            await self.frame()
        return self.html

    async def until_pushed(self, event: str, times: int = 1) -> list[Any]:
        while len(self.pushed(event)) < times:
            await self.frame()
        return self.pushed(event)

    async def until_for_script(self, kind: str) -> list[Any]:
        while not self.for_script(kind):
            await self.frame()
        return self.for_script(kind)

    async def call(self, name: str, **params: Any) -> None:
        """Let the page call an event handler, and wait until it is answered."""
        ref = len(self.frames) + 1
        await self.send_json_to({"type": "event", "event": name, "params": params, "ref": ref})
        while (await self.frame()).get("ref") != ref:
            pass


class DjustVisitor(pages.Visitor):
    """A browser with cookies of its own."""

    async def get(self, path: str) -> str:
        response = await self.client.get(path)
        assert response.status_code == 200
        return str(response.content.decode())

    def headers(self) -> list[tuple[bytes, bytes]]:
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self.client.cookies.items())
        return [
            (b"host", b"testserver"),
            (b"origin", b"http://testserver"),
            (b"cookie", cookies.encode()),
        ]

    @asynccontextmanager
    async def opens(self, path: str) -> AsyncIterator[DjustPage]:
        """A page as a browser opens it: over HTTP, then its socket, on which the view is mounted."""
        html = await self.get(path)
        found = re.search(r'dj-view="([\w.]+)"', html)
        assert found, html
        async with self.socket(path, found[1]) as page:
            await page.mount()
            while not page.of_type("mount"):
                await page.frame()
            yield page

    @asynccontextmanager
    async def socket(self, path: str, view: str = "") -> AsyncIterator[DjustPage]:
        """Only the socket of a page."""
        page = DjustPage(path, view, self.headers())
        accepted, _ = await page.connect(timeout=5)
        assert accepted
        try:
            yield page
        finally:
            page.reads.set()
            if not page.future.done():
                await page.disconnect(timeout=5)
