"""A page that sends too much, in a real browser: it is refused, and stays as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import WebSocket, expect

from tests.browser.conftest import NewPage
from tests.browser.harness.pages import eventually
from tests.servers import SiteServer


@pytest.fixture
def server() -> Iterator[SiteServer]:
    with SiteServer() as server:
        server.allow("A frame for '/document/limits/' was refused")
        yield server


async def test_a_page_that_was_limited_stays_usable(server: SiteServer, new_page: NewPage) -> None:
    page, other = await new_page(), await new_page()
    sockets: list[WebSocket] = []
    page.on("websocket", lambda socket: sockets.append(socket))  # playwright takes no builtin
    for each, name in ((page, "ada"), (other, "grace")):
        await each.goto(f"{server.url}/as/{name}/?next=/document/limits/")
        await expect(each.locator("html")).to_have_attribute("data-presence-state", "live")
    await expect(page.locator(".presence-bar")).to_contain_text("2 users online")
    await page.evaluate(
        """() => {
            window.refused = {};
            document.addEventListener("presence-client:refused", ({ detail: { code } }) => {
                window.refused[code] = (window.refused[code] ?? 0) + 1;
            });
            const button = document.querySelector("[dj-click=wave]");
            for (let n = 0; n < 1500; n++) button.click();
        }"""
    )
    await eventually(page, "refused['too-fast'] > 0")
    await eventually(page, "document.querySelectorAll('[data-presence-pending]').length", 0)
    before = await page.evaluate("JSON.stringify(refused)")
    await page.locator("[dj-click=wave]").click()
    await eventually(page, "document.querySelectorAll('[data-presence-pending]').length", 0)
    assert await page.evaluate("JSON.stringify(refused)") == before
    await expect(page.locator("html")).to_have_attribute("data-presence-state", "live")
    await other.goto("about:blank")
    await expect(page.locator(".presence-bar")).to_contain_text("1 user online")
    assert len(sockets) == 1
    await new_page.close()
