"""Proxies that are in the way of sockets: pages poll behind them, and come back to sockets where they can."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.any_page import AnyPageServer
from tests.browser.conftest import NewPage, watched_pages
from tests.browser.harness import FEED_STATE, eventually
from tests.browser.harness.proxy import Proxy
from tests.browser.test_client_adversaries import BACK, LIVE, TIMES, in_state
from tests.browser.test_client_site import live, watching

LOST_GRACE = 10.0
AT_ONCE = 2  # stories, which mostly wait, but have bounds

Story = Callable[[AnyPageServer, NewPage], Awaitable[None]]


async def come_back(server: AnyPageServer, new_page: NewPage, mode: str, path: str) -> None:
    doc = mode + path.strip("/")
    watcher = await watching(server, new_page, doc)
    async with Proxy(server.port, mode) as proxy:
        page = await new_page()
        began = time.monotonic()
        await page.goto(f"{proxy.url}{path}?doc={doc}", wait_until="commit")
        await in_state(page, "polling", LIVE)
        assert time.monotonic() - began < LIVE
        await expect(page.locator(".presence-avatar")).to_have_count(1)
        await eventually(watcher, "log", [["join", "Guest"]])
        if path == "/":
            assert proxy.sockets == 2
        proxy.mode = "pass"
        await in_state(page, "live", BACK)
        await asyncio.sleep(2.5)  # longer than GRACE, after which the goodbye by polling would show
        assert await watcher.evaluate("log") == [["join", "Guest"]]
        assert await page.evaluate(FEED_STATE) == "live"
        await expect(page.locator(".presence-avatar")).to_have_count(1)


async def fall_back(server: AnyPageServer, new_page: NewPage, path: str) -> None:
    doc = "lost" + path.strip("/")
    watcher = await watching(server, new_page, doc)
    async with Proxy(server.port, "pass") as proxy:
        page = await live(await new_page(), f"{proxy.url}{path}?doc={doc}")
        await eventually(watcher, "log.length", 1)
        await asyncio.sleep(5.2)  # it has lived
        proxy.mode = "refuse"
        proxy.break_sockets()
        assert await in_state(page, "polling", 30) < LOST_GRACE
        assert proxy.sockets > 2
        await asyncio.sleep(LOST_GRACE)
        assert await watcher.evaluate("log") == [["join", "Guest"]]
        await expect(page.locator(".presence-avatar")).to_have_count(1)


PATHS = ["/", "/live/"]
RETURNS: dict[str, Story] = {
    f"{mode}-{path}": partial(come_back, mode=mode, path=path)
    for mode in ("kill", "refuse", "swallow")
    for path in PATHS
}
FALLS: dict[str, Story] = {path: partial(fall_back, path=path) for path in PATHS}

Runs = dict[str, asyncio.Task[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def runs(request: pytest.FixtureRequest, browser: Browser) -> AsyncIterator[Runs]:
    """The stories of all selected tests, by name, some at a time."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def run(server: AnyPageServer, story: Story) -> None:
        async with turns, watched_pages(browser) as new_page:
            new_page.allow("WebSocket connection to")
            await story(server, new_page)

    names = [
        item.callspec.params["name"]  # type: ignore[attr-defined]
        for item in request.session.items
        if item.path == request.path
    ]
    with AnyPageServer(times=TIMES) as server:
        runs = {name: asyncio.create_task(run(server, (RETURNS | FALLS)[name])) for name in names}
        yield runs
        for task in runs.values():
            task.cancel()
        await asyncio.gather(*runs.values(), return_exceptions=True)


@pytest.mark.parametrize("name", RETURNS)
async def test_behind_a_proxy_that_breaks_sockets_a_page_is_live_and_comes_back_to_them(
    runs: Runs, name: str
) -> None:
    await runs[name]


@pytest.mark.parametrize("name", FALLS)
async def test_sockets_that_work_no_more_are_left_for_polling_unseen(runs: Runs, name: str) -> None:
    await runs[name]
