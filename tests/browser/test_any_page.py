"""The demo's ordinary page in a real browser: what the tags print is kept current, under its strict policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import NewPage
from tests.servers import SiteServer

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def demo() -> Iterator[SiteServer]:
    with SiteServer() as site:
        yield site


async def enter(page: Page, demo: SiteServer, person: str, path: str = "/any/") -> Page:
    await page.goto(f"{demo.url}/as/{person}/?next={path}")
    await expect(page.locator("html")).to_have_attribute("data-presence-feed", "live")
    return page


def row(page: Page, name: str) -> str:
    return f"tr:has(td:text-is('{name}')) presence-dot"


async def test_faces_the_number_and_dots_follow_who_comes_and_goes(
    demo: SiteServer, new_page: NewPage
) -> None:
    ada = await enter(await new_page(), demo, "ada")
    grace_dot, avatars = ada.locator(row(ada, "Grace")), ada.locator(".presence-avatar")
    await expect(grace_dot).to_have_attribute("aria-label", "offline")
    await expect(ada.locator("presence-count")).to_have_text("1")
    grace = await enter(await new_page(), demo, "grace")
    await expect(grace_dot).to_have_attribute("aria-label", "online")
    await expect(ada.locator("presence-count")).to_have_text("2")
    await expect(avatars).to_have_count(2)
    await expect(avatars.nth(1)).to_have_attribute("title", "grace")
    assert (
        await avatars.nth(1).evaluate("one => getComputedStyle(one).backgroundColor") == "rgb(14, 123, 115)"
    )
    await grace.close()
    await expect(grace_dot).to_have_attribute("aria-label", "offline")
    await expect(avatars).to_have_count(1)


@pytest.mark.parametrize("width", [360, 390])
async def test_it_fits_on_a_phone(demo: SiteServer, new_page: NewPage, width: int) -> None:
    page = await enter(await new_page(viewport={"width": width, "height": 844}), demo, "ada")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_without_javascript_the_page_is_right(demo: SiteServer, new_page: NewPage) -> None:
    page = await new_page(java_script_enabled=False)
    await page.goto(f"{demo.url}/as/ada/?next=/any/")
    await expect(page.locator("presence-count")).to_have_text("1")
    await expect(page.locator(".presence-avatar")).to_have_attribute("title", "ada")
    await expect(page.locator(row(page, "Ada"))).to_have_attribute("aria-label", "online")
