"""Comparisons that need no installation: a naive Channels group, and bare loops."""

from __future__ import annotations

import json
from secrets import token_urlsafe

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


class Listing(Plain):
    """Pages that say and are sent what those of `Feed` are."""

    alone = True

    def page(self, server: Application, group: str, number: int) -> Page:
        return self.tab(server, group, self.session(server))

    def session(self, server: Application) -> str:
        return token_urlsafe(16)

    def tab(self, server: Application, group: str, session: str) -> Page:
        hello = {"type": "hello", "visitor": session}
        join = {"type": "join", "room": 16 * "r", "ticket": 139 * "t", "want": {"list": True}}
        return Page(
            socket_url(server, "/"),
            server.url,
            says=(json.dumps(hello), json.dumps(join)),
            ready='"type":"state"',
        )

    def shows(self, count: str = r"(\d+)") -> str:
        return rf'"count":{count}\b'


PLAIN = {
    "bare": Plain("bare loop", "bare", ("memory",)),
    "bare feed": Listing("bare loop, a list for any page", "bare_feed", ("memory",)),
    "bare list": Plain("bare loop, a rendering for each page", "bare_list", ("memory",), largest=1000),
    "naive": Plain("naive Channels group", "naive", ("memory", "redis"), largest=5000),
}
