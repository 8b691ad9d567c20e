"""Visitors of a site with djust's views: pages over HTTP, and then djust's own consumer behind them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

from channels.sessions import SessionMiddlewareStack
from django.contrib.auth.models import AnonymousUser, User
from djust.websocket import LiveViewConsumer

from djust_presence.hosts.asgi import Message, Receive, Scope, Send
from tests import pages
from tests.client import Frame, InProcess

__all__ = ["DjustPage", "DjustVisitor", "djust_site"]

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def djust_site(templates: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a djust site with these templates."""
    from django.conf import settings

    return pages.site(templates) | {
        "INSTALLED_APPS": [*settings.INSTALLED_APPS, "djust"],
        "LIVEVIEW_ALLOWED_MODULES": ["tests"],
        "LIVEVIEW_CONFIG": {"rate_limit": {"max_connections_per_ip": 10_000}},
    }


def logged_in(inner: Application) -> Application:
    """`tests.pages.log_in_by_cookie`, on the socket."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["cookies"].get("user")
        user: Any = AnonymousUser()
        if name:
            user = User(pk=pages.PEOPLE[name], username=name)
            user.profile = SimpleNamespace(avatar_url=f"/{name}.png")
        await inner({**scope, "user": user}, receive, send)

    return middleware


class DjustPage(InProcess):
    """The socket of an open page, and what it has got so far."""

    frame_patience = 30.0

    def __init__(self, path: str, view: str, headers: list[tuple[bytes, bytes]]) -> None:
        consumer = cast(Application, LiveViewConsumer.as_asgi())

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_to_reader(message: Message) -> None:
                await self.reads.wait()
                await send(message)

            await consumer(scope, receive, send_to_reader)

        super().__init__(SessionMiddlewareStack(logged_in(application)), "/ws/live/", headers)
        self.path, self.view = path, view
        self.reads = asyncio.Event()  # without it, every send to this page waits
        self.reads.set()
        self.html = ""

    @property
    def shown(self) -> str:
        return self.html

    async def mount(self, **params: str) -> None:
        await self.send_json_to(
            {"type": "mount", "view": self.view, "url": self.path, "params": params, "has_prerendered": True}
        )

    def pushed(self, event: str) -> list[Any]:
        """The payloads of this ``djust:push_event`` that have come."""
        return [one["payload"] for one in self.of("push_event") if one["event"] == event]

    def for_script(self, kind: str) -> list[Any]:
        """The payloads of this kind that have come for our script."""
        return [one["payload"] for one in self.of("djust_presence") if one["kind"] == kind]

    async def frame(self) -> Frame:
        """The next frame. After one that patches the page, the page is asked for as a whole.

        djust keeps one for that, and loses it when it is rendered while it is asked: then it has to be rendered again.
        """
        frame = await super().frame()
        if frame["type"] == "error":
            assert "Recovery HTML" in frame["error"], frame
            await self.send_json_to({"type": "url_change", "params": {}, "uri": self.path})
        elif frame["type"] in ("mount", "html_recovery", "html_update"):
            self.html = frame.get("html", self.html)  # which a restored view's mount leaves out
        elif frame["type"] == "patch":
            await self.send_json_to({"type": "request_html"})
        return frame

    async def until_for_script(self, kind: str) -> list[Any]:
        await self.until(lambda: self.for_script(kind))
        return self.for_script(kind)

    async def send(self, **frame: Any) -> None:
        if frame["type"] == "event":
            frame["event"] = frame.pop("name")
        await super().send(**frame)


class DjustVisitor(pages.Browser):
    """A browser whose pages djust serves."""

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
            await page.until(lambda: page.of("mount"))
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
