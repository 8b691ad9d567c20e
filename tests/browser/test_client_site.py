"""Pages of a real site: presence on ordinary pages, by sockets, in a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.any_page import AnyPageServer
from tests.browser.conftest import NewPage
from tests.browser.harness import FEED_STATE, eventually

QUICK = {"open": 4, "life": 1, "retry": 1.5, "delay": 0.5}
WATCH = """
() => {
    window.log = [];
    djustPresence.join("doc", { watch: true }).then((room) => {
        for (const event of ["join", "leave", "update"]) room.on(event, ({ name }) => log.push([event, name]));
        window.room = room;
    });
}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[AnyPageServer]:
    with AnyPageServer(times=QUICK, options={"GRACE": 1}) as server:
        server.allow("Not Found: /face")
        yield server


async def live(page: Page, url: str) -> Page:
    await page.goto(url)
    await eventually(page, FEED_STATE, "live")
    return page


async def watching(server: AnyPageServer, new_page: NewPage) -> Page:
    """A page that logs who comes and goes in "doc", without being there."""
    page = await live_after_join(await new_page(), server.url + "/page/watch/")
    return page


async def live_after_join(page: Page, url: str) -> Page:
    await page.goto(url)
    await page.evaluate(WATCH)
    await eventually(page, "!!window.room")
    return page


async def count(page: Page, number: int) -> None:
    await expect(page.locator("header presence-count")).to_have_text(str(number))


async def test_two_browsers_see_each_other_come_and_go(server: AnyPageServer, new_page: NewPage) -> None:
    ada, bob = await new_page(), await new_page()
    await ada.goto(server.url + "/log-in/ada/")
    await live(ada, server.url)
    await count(ada, 1)
    await live(bob, server.url + "/page/other/")
    await count(ada, 2)
    await count(bob, 2)
    await expect(ada.locator(".presence-avatar")).to_have_count(1)
    await expect(ada.locator(".presence-avatar")).to_have_attribute("title", "ada")
    await bob.goto(server.url)
    await expect(ada.locator(".presence-avatar")).to_have_count(2)
    await count(ada, 2)
    await bob.close()
    await count(ada, 1)
