"""The recipes for pages, built to the letter on one server, as people see them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.conftest import NewPage
from tests.mysite import Member, Mysite
from tests.recipes import SIGN_UP, cooked

PAGES = ("on-every-page",)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mysite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mysite]:
    settings = '\nDJUST_PRESENCE = {"GRACE": 0.5}\n'
    with cooked(tmp_path_factory.mktemp("recipes"), *PAGES, settings=settings) as site:
        site.run("manage.py", "shell", "-c", SIGN_UP)
        yield site


@pytest.fixture(scope="module")
def people(mysite: Mysite) -> dict[str, Member]:
    return {name: Member(mysite, name) for name in ("ada", "grace")}


@pytest.fixture(autouse=True)
def without_icon(new_page: NewPage) -> None:
    new_page.allow("favicon")


async def show(page: Page, mysite: Mysite, path: str, member: Member | None = None) -> Page:
    """Open *path*, as *member* unless the context is of somebody already; return when it is connected."""
    if member:
        key = member.session_key or ""
        await page.context.add_cookies([{"name": "sessionid", "value": key, "url": mysite.url}])
    await page.goto(mysite.url + path)
    await expect(page.locator("html[data-presence-feed=live], html[data-presence-state=live]")).to_have_count(
        1
    )
    return page


async def tab(context: BrowserContext, new_page: NewPage, mysite: Mysite, path: str) -> Page:
    return await show(await new_page(context), mysite, path)


async def test_every_page_has_the_number_and_a_list_has_dots(
    mysite: Mysite, people: dict[str, Member], new_page: NewPage
) -> None:
    guest = await show(await new_page(), mysite, "/team/")
    count = guest.locator("presence-count")
    dots = guest.locator("presence-dot[online]")
    await expect(count).to_have_text("1")
    await expect(guest.locator("presence-dot")).to_have_count(2)
    await expect(dots).to_have_count(0)
    ada = await show(await new_page(), mysite, "/team/", people["ada"])
    second = await tab(ada.context, new_page, mysite, "/team/")
    await expect(count).to_have_text("2")
    await expect(dots).to_have_attribute("aria-label", "online")
    await expect(guest.locator("li", has=dots)).to_have_text(["ada"])
    await ada.close()
    grace = await show(await new_page(), mysite, "/team/", people["grace"])
    await expect(count).to_have_text("3")
    await second.close()
    await expect(guest.locator("li", has=dots)).to_have_text(["grace"])
    await expect(grace.locator("presence-count")).to_have_text("2")
    await new_page.close()
