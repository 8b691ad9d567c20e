"""Shared cursors: ours, and others'."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from tests.servers import ROOT, RedisServer

from ..pages import Page
from .base import EMPTY, Application, Driver, NotAvailable, socket_url
from .ours import PONG, LivePage

__all__ = ["CURSORS", "Pointers"]

NPM = ROOT / "benchmarks" / "npm"


class Pointers(Driver):
    """A driver whose pages move pointers; *protocol* is one of `moves.SAID`.

    *largest* is the number of movers above which the load client, in Python, could not read all that it is sent.
    """

    protocol = "ours"
    largest = 100


class Board(Pointers, LivePage):
    """A live view."""

    def page(self, server: Application, group: str, number: int) -> Page:
        url = socket_url(server, f"/board/{group}/")
        return Page(url, server.url, ready='"type":"ready"', then=('{"type":"cursors"}',), answers=PONG)


class Bare(Pointers):
    """An application that merges moves for a 30th of a second, and sends them to everybody."""

    name = "bare loop"
    stores = ("memory",)
    site = "bare_cursors"

    def page(self, server: Application, group: str, number: int) -> Page:
        return Page(socket_url(server, "/"), server.url)


class Naive(Pointers):
    """A Channels group in which each move is sent to all."""

    name = "naive Channels group"
    site = "naive"
    protocol = "naive"
    largest = 20

    def page(self, server: Application, group: str, number: int) -> Page:
        return Page(socket_url(server, f"/{group}/"), server.url, ready="online")


class NodeApplication(Application):
    """A script of ``benchmarks/npm``."""

    def command(self) -> list[str]:
        return ["node", str(NPM / self.site), str(self.port)]


@cache
def installed() -> None:
    """Install what `package-lock.json` says. Raises `NotAvailable`."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise NotAvailable("there is no node or no npm on PATH")
    lock, done = NPM / "package-lock.json", NPM / "node_modules" / ".package-lock.json"
    if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
        print("  installing what benchmarks/npm names …", file=sys.stderr, flush=True)
        # None of these needs a script of its own to be built.
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        run = subprocess.run(command, cwd=NPM, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if run.returncode:
            raise NotAvailable(f"npm ci failed: {(run.stderr.strip().splitlines() or [''])[-1]}")


class Node(Pointers):
    stores = ("memory",)

    def __init__(self, name: str, script: str, protocol: str, page: Page, largest: int) -> None:
        self.name, self.site, self.protocol, self.recipe, self.largest = name, script, protocol, page, largest

    def server(
        self, store: RedisServer | None, variables: Mapping[str, str] = EMPTY, port: int | None = None
    ) -> Application:
        installed()
        return NodeApplication(self.site, {}, port=port)

    def page(self, server: Application, group: str, number: int) -> Page:
        return replace(self.recipe, url=socket_url(server, self.recipe.url), origin=server.url)


CURSORS: list[Pointers] = [
    Bare(),
    Board("ours: live view", "board"),
    Naive(),
    Node("y-websocket 2.1.0, awareness", "yjs.mjs", "yjs", Page("/board", ""), 20),
    Node(
        "Socket.IO 4.8.4",
        "socketio.mjs",
        "socketio",
        Page("/socket.io/?EIO=4&transport=websocket", "", says=("40",), ready="^40", answers={"^2$": "3"}),
        20,
    ),
]
