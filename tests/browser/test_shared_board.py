"""The page of the guide to shared cursors, built to the letter, in windows of different sizes on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import NewPage
from tests.mysite import Mysite

AT_ONCE = 2_000  # milliseconds
UNDER = """
(name) => {
  const { left, top } = document.querySelector("presence-cursors").shadowRoot.querySelector(".cursor")
    .getBoundingClientRect();
  return document.elementFromPoint(left, top)?.id === name;
}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mysite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mysite]:
    site = Mysite(tmp_path_factory.mktemp("mysite"))
    site.follow("docs/tutorial.md", "A project")
    site.run("manage.py", "startapp", "pages")
    settings = site.project / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + '\nINSTALLED_APPS += ["pages"]\n')
    site.follow("docs/how-to/cursors.md")
    site.allow("/favicon.ico")
    with site:
        yield site


async def look(new_page: NewPage, mysite: Mysite, board: int, width: int, height: int) -> Page:
    """A page in a window of this size, of somebody of their own."""
    new_page.allow("favicon")
    page = await new_page(viewport={"width": width, "height": height})
    await page.goto(f"{mysite.url}/board/{board}/")
    await expect(page.locator("html")).to_have_attribute("data-presence-state", "live")
    await expect(page.locator("presence-cursors")).to_have_count(1)
    return page


def cursors(page: Page) -> Locator:
    return page.locator("presence-cursors .cursor")


async def is_over(page: Page, name: str) -> None:
    """Wait until the only cursor is drawn over that element."""
    await expect(cursors(page)).to_have_count(1)
    await page.wait_for_function(UNDER, arg=name)


async def test_a_pointer_is_over_the_same_words_in_both_windows_and_goes_with_its_tab(
    mysite: Mysite, new_page: NewPage
) -> None:
    here = await look(new_page, mysite, 1, 1200, 800)
    there = await look(new_page, mysite, 1, 320, 260)
    await here.locator("#river").hover(position={"x": 150, "y": 8})
    await is_over(there, "river")
    await expect(cursors(here)).to_have_count(0)
    await expect(cursors(there)).to_have_text("Guest")
    await here.locator("#station").hover(position={"x": 20, "y": 8})
    await is_over(there, "station")
    await there.evaluate("scrollBy(0, 40)")
    await is_over(there, "station")
    await there.locator("#title").hover()
    await is_over(here, "title")
    # A visitor who comes later sees the cursors that are there.
    late = await look(new_page, mysite, 1, 700, 500)
    await expect(cursors(late)).to_have_count(2)
    colors = await late.evaluate(
        """Array.from(document.querySelector("presence-cursors").shadowRoot.querySelectorAll(".label"),
            (label) => getComputedStyle(label).backgroundColor)"""
    )
    assert len(set(colors)) == 2
    await here.close()
    await expect(cursors(there)).to_have_count(0, timeout=AT_ONCE)
    await expect(cursors(late)).to_have_count(1, timeout=AT_ONCE)
    await new_page.close()


async def test_a_pointer_that_leaves_the_surface_is_gone_and_comes_back(
    mysite: Mysite, new_page: NewPage
) -> None:
    here = await look(new_page, mysite, 2, 1200, 800)
    there = await look(new_page, mysite, 2, 320, 260)
    for _ in range(2):
        await here.locator("#river").hover()
        await is_over(there, "river")
        await here.mouse.move(600, 780)
        await expect(cursors(there)).to_have_count(0)
    await new_page.close()


async def test_a_restarted_server_has_the_cursors_back_with_the_next_move(
    mysite: Mysite, new_page: NewPage
) -> None:
    new_page.allow("ERR_CONNECTION_REFUSED|WebSocket connection")
    here = await look(new_page, mysite, 3, 1200, 800)
    there = await look(new_page, mysite, 3, 320, 260)
    await here.locator("#river").hover()
    await is_over(there, "river")
    mysite.stop()
    await expect(cursors(there)).to_have_count(0, timeout=AT_ONCE)
    mysite.start()
    for page in (here, there):
        await expect(page.locator("html")).to_have_attribute("data-presence-state", "live", timeout=30_000)
    await here.locator("#station").hover()
    await is_over(there, "station")
    await new_page.close()
