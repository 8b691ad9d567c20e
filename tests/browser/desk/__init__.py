"""A site of one live page with every kind of control that a person uses, served by a real process."""

from __future__ import annotations

import sys
from typing import Self

from tests.browser.harness.libraries import libraries
from tests.servers import Server, SiteServer

__all__ = ["DeskServer"]


class DeskServer(SiteServer):
    """The desk under uvicorn. It has no database: sessions are in cookies."""

    site = "tests.browser.desk"

    def command(self) -> list[str]:
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--ws-per-message-deflate", "false"]
        return [sys.executable, "-m", "uvicorn", *options, f"{self.site}.asgi:application"]

    def environment(self) -> dict[str, str]:
        return super().environment() | {"DJANGO_SETTINGS_MODULE": f"{self.site}.settings"}

    def start(self) -> Self:
        libraries()  # its pages may have an htmx
        Server.start(self)
        return self
