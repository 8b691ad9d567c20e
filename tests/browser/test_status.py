"""What a page shows by itself while it has lost its server."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.harness import STATE, Site, Wire, add_rule, eventually, paused, visit

STATUS = "document.querySelector('presence-status').textContent"


async def lost(site: Site, page: Page, text: str | None = None) -> Wire:
    """A page with its timers paused that has just lost its socket, while the server accepts no other."""
    wire = await paused(site, page)
    if text is not None:
        await page.evaluate("(text) => document.documentElement.dataset.presenceReconnecting = text", text)
    await wire.ready()
    await eventually(page, STATE, "live")
    site.accepting.clear()
    await wire.close(1012)
    await eventually(page, STATE, "reconnecting")
    return wire


async def test_a_page_says_that_it_reconnects_after_a_second_and_until_it_has(site: Site, page: Page) -> None:
    await lost(site, page)
    await page.clock.run_for(999)
    assert await page.evaluate(STATUS) == ""
    await page.clock.run_for(1)
    status = page.get_by_role("status")
    await expect(status).to_have_text("Reconnecting…")
    await expect(status).to_be_visible()
    site.accepting.set()
    wire = await site.wire()
    await wire.ready()
    await expect(status).to_have_text("")
    await page.clock.run_for(10_000)
    assert await page.evaluate(STATUS) == ""


async def test_a_short_interruption_is_not_mentioned(site: Site, page: Page) -> None:
    await lost(site, page)
    await page.clock.run_for(900)
    site.accepting.set()
    wire = await site.wire()
    await wire.ready()
    await eventually(page, STATE, "live")
    await page.clock.run_for(10_000)
    assert await page.evaluate(STATUS) == ""


async def test_a_page_that_has_stopped_does_not_say_that_it_reconnects(site: Site, page: Page) -> None:
    await lost(site, page)
    await page.clock.run_for(1000)
    site.accepting.set()
    await (await site.wire()).close(4403)
    await eventually(page, STATE, "stopped")
    assert await page.evaluate(STATUS) == ""


@pytest.mark.parametrize("text", ["Verbindung wird wiederhergestellt …", ""])
async def test_its_text_is_the_pages_own_if_that_has_one(site: Site, page: Page, text: str) -> None:
    await lost(site, page, text)
    await page.clock.run_for(1000)
    assert await page.evaluate(STATUS) == text
    await expect(page.locator("presence-status")).to_be_visible(visible=bool(text))


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_can_be_read_in_light_and_dark_and_a_pages_rules_have_their_way(
    site: Site, page: Page, scheme: str
) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await lost(site, page)
    await page.clock.run_for(1000)
    status = page.locator("presence-status")
    await expect(status).to_have_css("background-color", "rgb(43, 43, 43)")
    await expect(status).to_have_css("color", "rgb(255, 255, 255)")
    await add_rule(page, "html { --presence-status-background: navy; --presence-status-color: yellow }")
    await expect(status).to_have_css("background-color", "rgb(0, 0, 128)")
    await expect(status).to_have_css("color", "rgb(255, 255, 0)")
    await add_rule(page, "presence-status { display: none }")
    await expect(status).to_be_hidden()


async def test_it_stays_when_the_whole_page_is_patched(site: Site, page: Page) -> None:
    wire = await visit(site, page)
    await wire.render("<p>new</p>", "*")
    await expect(page.locator("p")).to_have_text("new")
    assert await page.locator("presence-status").count() == 1


async def test_it_is_read_out_where_a_role_is_an_attribute_only(site: Site, page: Page) -> None:
    await page.add_init_script("delete Element.prototype.role")
    await visit(site, page)
    await expect(page.locator("presence-status")).to_have_attribute("role", "status")
