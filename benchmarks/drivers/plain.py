"""What there is to compare with that nobody has to install: a naive Channels group, and bare loops."""

from __future__ import annotations

from ..pages import Page
from .base import Application, Driver, socket_url

__all__ = ["PLAIN"]


class Plain(Driver):
    def __init__(self, name: str, site: str, stores: tuple[str, ...]) -> None:
        self.name, self.site, self.stores = name, site, stores

    def page(self, server: Application, group: str, number: int) -> Page:
        return Page(socket_url(server, f"/{group}/"), server.url, ready="online")

    def probe(self) -> tuple[str, str]:
        return "hello", "hello"


PLAIN = {
    "bare": Plain("bare loop", "bare", ("memory",)),
    "naive": Plain("naive Channels group", "naive", ("memory", "redis")),
}
