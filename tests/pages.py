"""Visitors for the tests: a cookie jar each, pages over HTTP, and the sockets behind them."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient

from djust_presence.live import LiveViewConsumer
from tests.client import InProcess

__all__ = ["Browser", "Page", "Visitor", "log_in_by_cookie", "site"]

PEOPLE = {"ada": 7, "grace": 8}


def log_in_by_cookie(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Logs in whom a cookie names, so that a test needs no database for it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if name := request.COOKIES.get("user"):
            request.user = User(pk=PEOPLE[name], username=name)
            request.user.profile = SimpleNamespace(avatar_url=f"/{name}.png")  # type: ignore[attr-defined]
        return get_response(request)

    return middleware


def site(templates: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a site with these templates, whose sessions are in Django's cache."""
    engine: dict[str, Any] = copy.deepcopy(settings.TEMPLATES[0])
    engine["APP_DIRS"] = False
    engine["OPTIONS"]["loaders"] = [
        ("django.template.loaders.locmem.Loader", dict(templates)),
        "django.template.loaders.app_directories.Loader",
    ]
    return {
        "TEMPLATES": [engine],
        "SESSION_ENGINE": "django.contrib.sessions.backends.cache",
        "MIDDLEWARE": [*settings.MIDDLEWARE, "tests.pages.log_in_by_cookie"],
    }


class Page(InProcess):
    """The socket of an open page of the built-in host, in this process."""

    def __init__(self, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        super().__init__(LiveViewConsumer.as_asgi(), path, headers)

    @property
    def html(self) -> str:
        return self.shown


class Browser:
    """A browser that keeps its cookies; with *cookies* off it takes none."""

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


class Visitor(Browser):
    """A browser whose pages the built-in host serves."""

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
            await page.until(lambda: page.regions)
            yield page
