"""A way of showing who is here, and the processes that serve it."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Mapping
from http.cookiejar import CookieJar
from types import MappingProxyType
from typing import Self
from urllib.request import HTTPCookieProcessor, build_opener

from tests.servers import ROOT, RedisServer, Server

from ..pages import Page

__all__ = ["Application", "Driver", "NotAvailable"]

SITES = "benchmarks.sites"
EMPTY: Mapping[str, str] = MappingProxyType({})


class NotAvailable(Exception):
    """It cannot be measured here; the message says why."""


class Application(Server):
    """An ASGI application of `benchmarks.sites`, served by one process of uvicorn."""

    def __init__(
        self, site: str, variables: dict[str, str], python: str = sys.executable, port: int | None = None
    ) -> None:
        super().__init__(port)
        self.site, self.variables, self.python = site, variables, python
        self.migrates = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--ws-per-message-deflate", "false"]
        return [
            *(self.python, "-m", "uvicorn", *options, "--log-level", "warning"),
            *("--timeout-graceful-shutdown", "5", f"{SITES}.{self.site}:application"),
        ]

    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
        return inherited | {"PYTHONPATH": str(ROOT)} | self.variables

    def start(self) -> Self:
        if self.migrates:
            command = [self.python, "-m", "django", "migrate", "--verbosity", "0"]
            subprocess.run(command, cwd=self.directory, env=self.environment(), check=True)
        return super().start()

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            return False
        finally:
            connection.close()
        return True


class WSGIApplication(Application):
    """The same by WSGI: two processes of gunicorn, with four threads each."""

    def command(self) -> list[str]:
        options = [
            "--workers",
            "2",
            "--threads",
            "4",
            "--keep-alive",
            "60",
            "--bind",
            f"127.0.0.1:{self.port}",
        ]
        return [self.python, "-m", "gunicorn", *options, f"{SITES}.{self.site}:application"]


class Driver:
    """One way; subclasses say what differs.

    *largest* is the number of pages above which a join takes so long that nobody would wait for the measurement.
    """

    name: str
    stores: tuple[str, ...] = ("memory", "redis")
    largest = 10_000
    site: str
    settings = ""
    migrates = False  # whether it needs tables
    alone = (
        False  # whether the pages of a crowd are tabs of one visitor: its pages do not tell thousands apart
    )
    serves: type[Application] = Application

    def python(self) -> str:
        """The interpreter that has what this needs. Raises `NotAvailable` if there can be none."""
        return sys.executable

    def variables(self) -> dict[str, str]:
        """The variables of the server's environment that differ from driver to driver."""
        return {}

    def server(
        self, store: RedisServer | None, variables: Mapping[str, str] = EMPTY, port: int | None = None
    ) -> Application:
        """A server process, not started yet. Several on one store serve the same groups."""
        own = {"DJANGO_SETTINGS_MODULE": f"{SITES}.{self.settings or 'settings'}"}
        if store:
            own["REDIS_URL"] = store.url()
        server = self.serves(self.site, {**own, **self.variables(), **variables}, self.python(), port)
        server.migrates = self.migrates
        return server

    def page(self, server: Application, group: str, number: int) -> Page:
        """A page that takes part in *group*, for a visitor who has this number."""
        raise NotImplementedError

    def shows(self, count: str = r"(\d+)") -> str:
        """A regular expression for what a page is sent that learns that *count* are here."""
        return rf"\b{count} online\b"

    def tab(self, server: Application, group: str, session: str) -> Page:
        """A page of one and the same visitor; *session* is what `session` has returned, of whichever server."""
        raise NotAvailable("it has no visitors")

    def session(self, server: Application) -> str:
        """Return the identity of a new visitor, such as their cookies."""
        return "visitor"

    def probe(self) -> tuple[str, str]:
        """Return a frame for an open page to send, and a regular expression of the answer; raises `NotAvailable`."""
        raise NotAvailable("its pages have nothing to say")


def cookies(server: Application, path: str) -> str:
    """The cookies that a new visitor gets with a page."""
    jar = CookieJar()
    with build_opener(HTTPCookieProcessor(jar)).open(server.url + path, timeout=30):
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


def socket_url(server: Application, path: str) -> str:
    return f"ws://127.0.0.1:{server.port}{path}"
