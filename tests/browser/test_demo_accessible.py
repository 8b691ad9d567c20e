"""Every page of the demo under its strict policy, while something happens there: accessible, light and dark."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Literal

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.harness.axe import examined
from tests.servers import SiteServer

POLICY = "default-src 'self'; require-trusted-types-for 'script'; trusted-types djust_presence"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="module")
def demo() -> Iterator[SiteServer]:
    with SiteServer() as site:
        site.allow(r"Forbidden \(Permission denied\): /private/|Not Found: /nowhere/")
        yield site


async def enter(page: Page, demo: SiteServer, person: str, path: str) -> Page:
    await page.goto(f"{demo.url}/as/{person}/?next={path}")
    await expect(page.locator("html")).to_have_attribute("data-presence-feed", "live")
    await expect(page.locator("html[data-presence-state=connecting]")).to_have_count(0)
    return page


async def nothing(page: Page, other: Page) -> None:
    pass


async def wave(page: Page, other: Page) -> None:
    await other.get_by_role("button", name="Wave").click()
    await expect(page.locator(".toast")).to_contain_text("waved")


async def talk(page: Page, other: Page) -> None:
    for one in (page, other):
        await one.get_by_role("textbox").fill("Tea?")
        await one.keyboard.press("Enter")
    await expect(page.locator(".bubble")).to_have_count(2)
    await other.get_by_role("textbox").press_sequentially("Or")
    await expect(page.locator(".typing b")).to_be_visible()


async def draw(page: Page, other: Page) -> None:
    board = other.locator("#drawing")
    await board.drag_to(board, source_position={"x": 60, "y": 60}, target_position={"x": 200, "y": 120})
    await expect(page.locator("#drawing path")).to_have_count(1)
    await board.hover(position={"x": 90, "y": 90})


PAGES: dict[str, Callable[[Page, Page], Awaitable[None]]] = {
    "/": nothing,
    "/counter/": nothing,
    "/document/{}/": wave,
    "/chat/{}/": talk,
    "/whiteboard/{}/": draw,
    "/any/": nothing,
}


async def examine(page: Page) -> None:
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        found = await examined(page)
        assert found.serious == [], scheme
        assert "color-contrast" in found.passed


@pytest.mark.parametrize("person", ["guest", "ada"])
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_on_which_somebody_is(
    demo: SiteServer, new_page: NewPage, path: str, person: str
) -> None:
    act, path = PAGES[path], path.format(person)
    page = await enter(await new_page(), demo, person, path)
    other = await enter(await new_page(), demo, "grace", path)
    await expect(page.locator("header presence-count")).to_have_text("2")
    await act(page, other)
    await examine(page)
    await other.close()
    await expect(page.locator("header presence-count")).to_have_text("1")
    await examine(page)


@pytest.mark.parametrize("path", ["/private/", "/nowhere/"])
async def test_a_page_that_is_refused_or_is_not_there(demo: SiteServer, new_page: NewPage, path: str) -> None:
    new_page.allow("Failed to load resource.* (403|404)")
    await examine(await enter(await new_page(), demo, "guest", path))


async def test_the_page_of_members(demo: SiteServer, new_page: NewPage) -> None:
    await examine(await enter(await new_page(), demo, "katherine", "/private/"))


@pytest.mark.parametrize("path", [*PAGES, "/private/", "/nowhere/"])
async def test_the_policy_is_strict(demo: SiteServer, new_page: NewPage, path: str) -> None:
    response = await (await new_page()).request.get(demo.url + path.format("strict"))
    assert response.headers.get("content-security-policy") == POLICY
