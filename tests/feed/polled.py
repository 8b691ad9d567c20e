"""A page that polls over HTTP, as the page's script does, in one process or at a real server."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Any, Protocol

from django.test import Client

from djust_presence.feed.tickets import Ticket, room_of
from tests.feed.pages import issue

__all__ = ["OverHTTP", "PolledPage", "Reply", "Transport", "in_process"]


class Reply:
    """The answer to a poll."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.text = body.decode()

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


class Transport(Protocol):
    host: str

    def post(self, body: str, **headers: str) -> Reply: ...


class InProcess:
    """Posts to this process as *client*."""

    host = "testserver"

    def __init__(self, client: Client) -> None:
        self.client = client

    def post(self, body: str, **headers: str) -> Reply:
        headers = {"origin": f"http://{self.host}"} | headers
        response = self.client.post(
            "/presence/", body, content_type=headers.pop("content_type", "application/json"), headers=headers
        )
        cookies = {"Set-Cookie": response.cookies.output()} if response.cookies else {}
        return Reply(response.status_code, {**response.headers, **cookies}, response.content)


def in_process(user: str = "") -> InProcess:
    """Return the way to this process for *user*, who is logged in; empty for a visitor."""
    client = Client()
    if user:
        client.cookies["user"] = user
    return InProcess(client)


class OverHTTP:
    """Posts to a server on *port* of this machine, on one connection if that lasts."""

    def __init__(self, port: int, cookies: str = "") -> None:
        self.host = f"127.0.0.1:{port}"
        self.port = port
        self.cookies = cookies
        self._connection: http.client.HTTPConnection | None = None

    def post(self, body: str, **headers: str) -> Reply:
        """Raises ``OSError`` or ``HTTPException`` if there is no answer."""
        headers = {"Origin": f"http://{self.host}", "Cookie": self.cookies} | headers
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", "/presence/", body.encode(), headers)
            response = connection.getresponse()
            return Reply(response.status, dict(response.headers), response.read())
        finally:
            connection.close()


class PolledPage:
    """A page that polls; `rooms` has what it shows by key."""

    def __init__(self, transport: Transport, visitor: str | None = None) -> None:
        self.transport = transport
        self.visitor = visitor
        self.page = token_urlsafe(16)
        self.seq: str | None = None
        self.asked: dict[str, dict[str, Any]] = {}  # by key
        self.left: list[dict[str, Any]] = []
        self.hidden = False
        self.rooms: dict[str, dict[str, Any]] = {}
        self.again = 0
        self.last: Reply
        self.texts: list[str] = []

    def want(self, key: str, ticket: str | None = None, *, meta: Any = None, **want: Any) -> None:
        """Ask for the room of *key* from the next poll on."""
        ticket = ticket or issue(key, host=self.transport.host)
        room = {"room": room_of(key), "ticket": ticket, "want": want or {"list": True}}
        self.asked[key] = room if meta is None else room | {"meta": meta}

    def leave(self, key: str) -> None:
        """Leave with the next poll."""
        self.left.append(self.asked.pop(key))

    def body(self, **more: Any) -> str:
        rooms = [
            room | ({"tag": self.rooms[key]["tag"]} if "tag" in self.rooms.get(key, {}) else {})
            for key, room in self.asked.items()
        ]
        known = {"seq": self.seq, "visitor": self.visitor, "left": self.left, "hidden": self.hidden}
        return json.dumps({"page": self.page, "rooms": rooms, **known, **more})

    def poll(self, **headers: str) -> Reply:
        """Poll once, and take the answer in. A page that is told to begin again does so at once."""
        self.last = reply = self.transport.post(self.body(), **headers)
        self.texts.append(reply.text)
        if reply.status != 200:
            return reply
        if reply.json.get("again"):
            self.again += 1
            self.begin_again()
            return self.poll(**headers)
        self.seq, self.left = reply.json["seq"], []
        keys = {room_of(key): key for key in self.asked}
        for room, news in reply.json["rooms"].items():
            key = keys[room]
            self.rooms[key] = self.rooms.get(key, {}) | news
            if "ticket" in news:
                self.asked[key]["ticket"] = news["ticket"]
        return reply

    def begin_again(self) -> None:
        self.page, self.seq = token_urlsafe(16), None
        self.rooms = {}

    def bye(self) -> Reply:
        """Say goodbye as ``navigator.sendBeacon`` does."""
        return self.transport.post(self.body(bye=True), **{"Content-Type": "text/plain;charset=UTF-8"})

    def names(self, key: str) -> list[str]:
        return [one.get("name", "") for one in self.rooms.get(key, {}).get("members", [])]

    def count(self, key: str) -> int:
        found: int = self.rooms[key]["count"]
        return found

    def until(self, key: str, *names: str, within: float = 30.0) -> float:
        """Poll until the list of *key* shows *names*; return how long that took."""
        began = time.monotonic()
        while sorted(self.names(key)) != sorted(names):
            assert time.monotonic() < began + within, (self.names(key), names, self.last.text)
            time.sleep(0.1)
            self.poll()
        return time.monotonic() - began


def old(ticket: Ticket, seconds: float) -> Ticket:
    """Return *ticket* as if it had been issued so long ago."""
    then = int(time.time() - seconds)
    return ticket._replace(begun=then, issued=then)
