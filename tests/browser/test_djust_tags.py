"""Tags on a page of real djust: they have a line to the server of their own, beside djust's socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from tests.browser.conftest import NewPage
from tests.browser.djust_board import BoardServer
from tests.browser.harness import FEED_STATE, eventually
from tests.browser.harness.proxy import Proxy
from tests.browser.test_client_adversaries import BACK, LIVE, in_state

LOG = """
() => {
  window.log = [];
  const room = djustPresence.attach(document.querySelector("presence-avatars").getAttribute("room"));
  for (const event of ["join", "leave"]) room.on(event, () => log.push(event));
}
"""


@pytest.fixture
def board() -> Iterator[BoardServer]:
    with BoardServer() as server:
        server.allow(r"in-memory state backend")  # the board is one process
        yield server


async def test_rooms_are_polled_unseen_until_a_socket_opens(board: BoardServer, new_page: NewPage) -> None:
    new_page.allow("WebSocket|LiveView")  # djust's client, which has no other way
    watcher, page = await new_page(), await new_page()
    await watcher.goto(board.url + "/tags/")
    await eventually(watcher, FEED_STATE, "live")
    await watcher.evaluate(LOG)
    async with Proxy(board.port, "refuse") as proxy:
        await page.goto(proxy.url + "/tags/", wait_until="commit")
        await in_state(page, "polling", LIVE)
        await expect(page.locator("presence-count")).to_have_text("2")
        await expect(watcher.locator(".presence-avatar")).to_have_count(2)
        proxy.mode = "pass"
        await in_state(page, "live", BACK)
        await asyncio.sleep(1)  # longer than GRACE, after which the goodbye by polling would show
        assert await watcher.evaluate("log") == ["join"]
        await expect(page.locator(".presence-avatar")).to_have_count(2)
