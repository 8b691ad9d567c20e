"""This package, in each of the ways in which a page may show who is here."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from secrets import token_urlsafe
from typing import Any

from ..pages import Page
from .base import Application, Driver, NotAvailable, WSGIApplication, cookies, socket_url

__all__ = ["OURS", "Consumer", "Feed", "Job", "LivePage", "Polling"]

FROM_ONE = 20  # pages that may begin to poll in a minute from one address
PONG = {'^{"type":"ping"': '{"type":"pong"}'}


class Ours(Driver):
    site = "ours.asgi"
    settings = "ours.settings"


class LivePage(Ours):
    """A live view."""

    def __init__(self, name: str, path: str, largest: int = 10_000) -> None:
        self.name, self.path, self.largest = name, path, largest

    def page(self, server: Application, group: str, number: int) -> Page:
        path = f"/{self.path}/{group}/?name=Visitor+{number}"
        return Page(socket_url(server, path), server.url, ready='"type":"render"', answers=PONG)

    def session(self, server: Application) -> str:
        return cookies(server, "/session/")

    def tab(self, server: Application, group: str, session: str) -> Page:
        return replace(self.page(server, group, 0), cookie=session)

    def probe(self) -> tuple[str, str]:
        return '{"type":"event","ref":1,"name":"nothing"}', '"ack"'


class Consumer(Ours):
    """A Channels consumer."""

    name = "ours: consumer"

    def page(self, server: Application, group: str, number: int) -> Page:
        return Page(socket_url(server, f"/consumer/{group}/"), server.url, ready="online")

    def probe(self) -> tuple[str, str]:
        return "hello", "hello"


def ticket(server: Application, group: str) -> dict[str, str]:
    """The room of a group, and a ticket, as a script of the site asks for them."""
    request = urllib.request.Request(
        f"{server.url}/presence/ticket/?key={group}", headers={"Origin": server.url}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        issued: dict[str, str] = json.load(response)
        return issued


class Feed(Ours):
    """An ordinary page with a list or a count by a socket.

    It lists 500 people at most, and shows 1,002 of them as 1k, so that it would not be told of a join above that.
    """

    alone = True

    def __init__(self, name: str, want: str = "list") -> None:
        self.name, self.want = name, want
        self._tickets: dict[tuple[str, str], dict[str, str]] = {}

    def ticket(self, server: Application, group: str) -> dict[str, str]:
        at = server.url, group
        if at not in self._tickets:
            self._tickets[at] = ticket(server, group)
        return self._tickets[at]

    def page(self, server: Application, group: str, number: int) -> Page:
        return self.tab(server, group, token_urlsafe(16))

    def session(self, server: Application) -> str:
        return token_urlsafe(16)

    def tab(self, server: Application, group: str, session: str) -> Page:
        join = {"type": "join", **self.ticket(server, group), "want": {self.want: True}}
        hello = {"type": "hello", "visitor": session}
        return Page(
            socket_url(server, "/presence/"),
            server.url,
            says=(json.dumps(hello), json.dumps(join)),
            ready='"type":"state"',
            answers=PONG,
        )

    def shows(self, count: str = r"(\d+)") -> str:
        return rf'"count":{count}\b'

    def probe(self) -> tuple[str, str]:
        return '{"type":"ping"}', '"pong"'


class Polling(Feed):
    """An ordinary page that polls, at a WSGI server."""

    stores = ("redis",)
    site = "ours.wsgi"
    serves = WSGIApplication

    def page(self, server: Application, group: str, number: int) -> Page:
        room = {**self.ticket(server, group), "want": {self.want: True}}
        body: dict[str, Any] = {"page": token_urlsafe(16), "visitor": token_urlsafe(16), "rooms": [room]}
        source = f"127.0.{1 + number // FROM_ONE // 250}.{1 + number // FROM_ONE % 250}"
        return Page(f"{server.url}/presence/", server.url, says=(json.dumps(body),), source=source)

    def probe(self) -> tuple[str, str]:
        raise NotAvailable("its pages have no socket")


class Job(Ours):
    """Calls of a job or a view, without pages."""

    name = "ours: from a job"
    largest = 10**9


OURS = {
    "counter": LivePage("ours: live view, counter", "counter"),
    "list": LivePage("ours: live view, list", "list", largest=1000),
    "list of mine": LivePage("ours: live view, list with “you”", "mine", largest=1000),
    "feed": Feed("ours: any page, list"),
    "count": Feed("ours: any page, count", "count"),
    "consumer": Consumer(),
    "polling": Polling("ours: any page, polling"),
}
