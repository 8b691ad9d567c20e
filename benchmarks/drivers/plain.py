"""Comparisons that need no installation: a naive Channels group, and bare loops."""

from __future__ import annotations

from ..pages import Page
from .base import Application, Driver, socket_url

__all__ = ["PLAIN"]


class Plain(Driver):
    def __init__(self, name: str, site: str, stores: tuple[str, ...], largest: int = 10_000) -> None:
        self.name, self.site, self.stores, self.largest = name, site, stores, largest

    def page(self, server: Application, group: str, number: int) -> Page:
        return Page(socket_url(server, f"/{group}/"), server.url, ready="online")

    def tab(self, server: Application, group: str, session: str) -> Page:
        return self.page(server, group, 0)

    def probe(self) -> tuple[str, str]:
        return "hello", "hello"


PLAIN = {
    "bare": Plain("bare loop", "bare", ("memory",)),
    "bare list": Plain("bare loop, a rendering for each page", "bare_list", ("memory",), largest=1000),
    "naive": Plain("naive Channels group", "naive", ("memory", "redis"), largest=5000),
}
