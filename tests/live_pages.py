"""Visitors for the tests: a cookie jar each, pages over HTTP, and the sockets behind them."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient

from djust_presence.live import LiveViewConsumer

__all__ = ["Page", "Visitor", "site", "who_is_here"]

PEOPLE = {"ada": 7, "grace": 8}


def who_is_here(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Logs in whom a cookie names, so that a test needs no database for it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if name := request.COOKIES.get("user"):
            request.user = User(pk=PEOPLE[name], username=name)
            request.user.profile = SimpleNamespace(avatar_url=f"/{name}.png")  # type: ignore[attr-defined]
        return get_response(request)

    return middleware


def site(templates: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a site with these templates, whose sessions are in Django's cache."""
    engine = copy.deepcopy(settings.TEMPLATES[0])
    engine["APP_DIRS"] = False
    engine["OPTIONS"]["loaders"] = [
        ("django.template.loaders.locmem.Loader", dict(templates)),
        "django.template.loaders.app_directories.Loader",
    ]
    return {
        "TEMPLATES": [engine],
        "SESSION_ENGINE": "django.contrib.sessions.backends.cache",
        "MIDDLEWARE": [*settings.MIDDLEWARE, "tests.pages.who_is_here"],
    }


class Page(WebsocketCommunicator):  # type: ignore[misc]
    """The socket of an open page, and what it has got so far."""

    def __init__(self, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        super().__init__(LiveViewConsumer.as_asgi(), path, headers=headers)
        self.frames: list[dict[str, Any]] = []
        self.regions: dict[str, str] = {}
        self._ref = 0

    @property
    def html(self) -> str:
        return "".join(self.regions.values())

    def pushed(self, event: str) -> list[Any]:
        """The payloads of what the view has pushed."""
        return [one["payload"] for one in self.frames if one["type"] == "push" and one["event"] == event]

    def events(self, event: str) -> list[Any]:
        """The payloads of the broadcasts that have come."""
        return [one["payload"] for one in self.frames if one["type"] == "event" and one["event"] == event]

    async def frame(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await self.receive_from(timeout=5))
        self.frames.append(frame)
        self.regions |= frame.get("regions", {})
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

    async def until_event(self, event: str) -> Any:
        while not self.events(event):
            await self.frame()
        return self.events(event)[-1]

    async def call(self, name: str, **params: Any) -> dict[str, Any]:
        """Let the page call an event handler; its ack or error."""
        self._ref += 1
        await self.send_json_to({"type": "event", "ref": self._ref, "name": name, "params": params})
        frame = await self.frame()
        while frame.get("ref") != self._ref:
            frame = await self.frame()
        return frame


class Visitor:
    """A browser: what it opens has the cookies that it was given before. With *cookies* off it takes none."""

    def __init__(self, user: str | None = None, *, cookies: bool = True, language: str = "en") -> None:
        self.client = AsyncClient(headers={"accept-language": language})
        self.language = language
        self.takes_cookies = cookies
        if user:
            self.client.cookies["user"] = user

    async def get(self, path: str) -> str:
        """The page over HTTP."""
        response = await self.client.get(path)
        if not self.takes_cookies:
            self.client.cookies.clear()
        assert response.status_code == 200
        return str(response.content.decode())

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncIterator[Page]:
        """Only the socket of a page."""
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self.client.cookies.items())
        headers = {
            b"host": b"testserver",
            b"origin": b"http://testserver",
            b"accept-language": self.language.encode(),
            b"cookie": cookies.encode(),
        }
        page = Page(path, list(headers.items()))
        accepted, _ = await page.connect(timeout=5)
        assert accepted
        try:
            yield page
        finally:
            if not page.future.done():
                await page.disconnect(timeout=5)

    @asynccontextmanager
    async def opens(self, path: str) -> AsyncIterator[Page]:
        """A page as a browser opens it: over HTTP, then its socket."""
        await self.get(path)
        async with self.socket(path) as page:
            await page.until("")
            while not page.regions:
                await page.frame()
            yield page
