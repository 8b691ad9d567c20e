from __future__ import annotations

import sys

import pytest

from benchmarks.memory import VARIABLES, OtherServer, measure
from tests.servers import SiteServer

PAGES = 300


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the memory of a process is read from /proc")
async def test_an_idle_page_costs_about_as_much_as_its_socket() -> None:
    with OtherServer("bare") as server:
        socket, _ = await measure(server, "/", PAGES, "")
    with SiteServer(VARIABLES) as site:
        page, _ = await measure(site, "/counter/", PAGES, "{} online")
    assert socket > 0
    assert page < 3 * socket, (page, socket)
    assert page < 64, page  # KiB
