"""Proxies that are in the way of sockets, servers that come and go, and pages of WSGI beside those of ASGI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.any_page import AnyPageServer
from tests.browser.conftest import NewPage
from tests.browser.harness import FEED_STATE, eventually
from tests.browser.harness.proxy import Proxy
from tests.browser.test_client_site import live, watching

# All other times are the real ones.
TIMES = {"retry": 4.0}
LOST_GRACE = 10.0
LIVE = 10.0  # seconds, within which a page is live behind any of the proxies
BACK = 60.0  # a bound: sockets are tried after 4 s, then after 8 and 16, and have to live for 5 s


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[AnyPageServer]:
    with AnyPageServer(times=TIMES) as server:
        yield server


async def in_state(page: Page, state: str, bound: float) -> float:
    """Wait until the page is in this state, and return how long that took."""
    began = time.monotonic()
    await page.wait_for_function(
        "(state) => document.documentElement.dataset.presenceFeed === state", arg=state, timeout=bound * 1_000
    )
    return time.monotonic() - began


@pytest.mark.parametrize("mode", ["kill", "refuse", "swallow"])
async def test_behind_a_proxy_that_breaks_sockets_a_page_is_live_and_comes_back_to_them(
    server: AnyPageServer, new_page: NewPage, mode: str
) -> None:
    new_page.allow("WebSocket connection to")
    watcher = await watching(server, new_page, mode)
    async with Proxy(server.port, mode) as proxy:
        page = await new_page()
        began = time.monotonic()
        await page.goto(f"{proxy.url}/?doc={mode}", wait_until="commit")
        await in_state(page, "polling", LIVE)
        assert time.monotonic() - began < LIVE
        await expect(page.locator(".presence-avatar")).to_have_count(1)
        assert await watcher.evaluate("log") == [["join", "Guest"]]
        assert proxy.sockets == 2
        proxy.mode = "pass"
        await in_state(page, "live", BACK)
        await asyncio.sleep(2.5)  # longer than GRACE, after which the goodbye by polling would show
        assert await watcher.evaluate("log") == [["join", "Guest"]]
        assert await page.evaluate(FEED_STATE) == "live"
        await expect(page.locator(".presence-avatar")).to_have_count(1)


async def test_sockets_that_work_no_more_are_left_for_polling_unseen(
    server: AnyPageServer, new_page: NewPage
) -> None:
    new_page.allow("WebSocket connection to")
    watcher = await watching(server, new_page, "lost")
    async with Proxy(server.port, "pass") as proxy:
        page = await live(await new_page(), proxy.url + "/?doc=lost")
        await eventually(watcher, "log.length", 1)
        await asyncio.sleep(5.2)  # it has lived
        proxy.mode = "refuse"
        proxy.break_sockets()
        assert await in_state(page, "polling", 30) < LOST_GRACE
        assert proxy.sockets > 2
        await asyncio.sleep(LOST_GRACE)
        assert await watcher.evaluate("log") == [["join", "Guest"]]
        await expect(page.locator(".presence-avatar")).to_have_count(1)
