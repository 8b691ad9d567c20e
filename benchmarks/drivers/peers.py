"""Other ways to have presence in Django, each in an environment of its own."""

from __future__ import annotations

import html
import json
import re
import urllib.request
from secrets import token_hex

from ..environments import environment
from ..pages import Page
from .base import Application, Driver, cookies, socket_url

__all__ = ["PEERS"]


class WithDjust(Driver):
    """A view of djust, with its own presence or with this package's."""

    site = "with_djust.asgi"
    settings = "with_djust.settings"
    view = "benchmarks.sites.with_djust.urls.Counter"

    def __init__(self, name: str, presence: str, largest: int) -> None:
        self.name, self.presence, self.largest = name, presence, largest

    def python(self) -> str:
        # Its own presence calls what later versions of redis have deprecated.
        return environment("djust", "djust==1.2.6", "redis<6", "channels>=4.3")

    def variables(self) -> dict[str, str]:
        return {"PRESENCE_OF": self.presence}

    def page(self, server: Application, group: str, number: int) -> Page:
        return self.tab(server, group, "")

    def session(self, server: Application) -> str:
        return cookies(server, "/session/")

    def tab(self, server: Application, group: str, session: str) -> Page:
        mount = {"type": "mount", "view": self.view, "url": f"/counter/{group}/", "params": {"group": group}}
        return Page(
            socket_url(server, "/ws/live/"),
            server.url,
            cookie=session,
            says=(json.dumps(mount),),
            ready='"type": ?"mount"',
            # Its script sends a heartbeat every 30 seconds; a visitor without one is gone after 60.
            beat='{"type":"ping"}',
            every=30,
        )

    def probe(self) -> tuple[str, str]:
        return '{"type":"event","event":"nothing","params":{},"ref":1}', '"ref": ?1'


class Wireview(Driver):
    """A component with wireview's presence. Its page is loaded over HTTP first, for the signed state of the component."""

    name = "django-wireview 1.5.1"
    site = "with_wireview.asgi"
    settings = "with_wireview.settings"
    largest = 200

    def python(self) -> str:
        return environment("wireview", "django-wireview==1.5.1", minor=12)

    def page(self, server: Application, group: str, number: int) -> Page:
        return self.tab(server, group, str(number))

    def session(self, server: Application) -> str:
        return token_hex(8)

    def tab(self, server: Application, group: str, session: str) -> Page:
        with urllib.request.urlopen(f"{server.url}/counter/{group}/{session}/", timeout=30) as response:
            found = re.search(r'data-state="([^"]+)"', response.read().decode())
        if not found:
            raise ConnectionError("The page has no component.")
        join = {"name": "XCounter", "state": html.unescape(found[1]), "ref": 1}
        return Page(
            socket_url(server, "/__wireview__?vsn=1"),
            server.url,
            says=(json.dumps({"command": "join", "payload": join}),),
            ready="online",
        )


class MoreThanPresent(Driver):
    """A consumer with a row for each connection."""

    name = "django-channels-more-than-present 2.0.1"
    site = "more_than_present.asgi"
    settings = "more_than_present.settings"
    migrates = True
    largest = 1000

    def python(self) -> str:
        return environment("more-than-present", "django-channels-more-than-present==2.0.1")

    def page(self, server: Application, group: str, number: int) -> Page:
        return self.tab(server, group, "")

    def session(self, server: Application) -> str:
        return cookies(server, f"/log-in/{token_hex(8)}/")

    def tab(self, server: Application, group: str, session: str) -> Page:
        url = socket_url(server, f"/{group}/")
        return Page(url, server.url, ready="online", beat='"heartbeat"', every=30, cookie=session)

    def probe(self) -> tuple[str, str]:
        return "hello", "hello"


PEERS = {
    "djust": WithDjust("djust 1.2.6 by itself", "djust", largest=200),
    "under djust": WithDjust("ours: under djust", "ours", largest=200),
    "wireview": Wireview(),
    "more than present": MoreThanPresent(),
}
