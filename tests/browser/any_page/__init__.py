"""A site of ordinary pages with presence on them, served by real processes: by uvicorn, and by gunicorn under WSGI."""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.servers import SiteServer

__all__ = ["AnyPageServer"]


class AnyPageServer(SiteServer):
    """The site. *times* are the client's; *options* those of DJUST_PRESENCE."""

    site = "tests.browser.any_page"

    def __init__(
        self,
        *,
        wsgi: bool = False,
        times: dict[str, float] | None = None,
        options: dict[str, Any] | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        super().__init__(
            {
                "TIMES": json.dumps({"person": 0, **(times or {})}),
                "PRESENCE": json.dumps(options or {}),
                **(variables or {}),
            }
        )
        self.wsgi = wsgi

    def command(self) -> list[str]:
        if self.wsgi:
            options = ["--bind", f"127.0.0.1:{self.port}", "--workers", "2", "--threads", "4"]
            return [sys.executable, "-m", "gunicorn", *options, f"{self.site}.wsgi:application"]
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--ws-per-message-deflate", "false"]
        return [sys.executable, "-m", "uvicorn", *options, f"{self.site}.asgi:application"]

    def environment(self) -> dict[str, str]:
        return super().environment() | {"DJANGO_SETTINGS_MODULE": f"{self.site}.settings"}
