"""The pages of the guides to forms, events and scripts, built to the letter, as a person uses them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import NewPage
from tests.mysite import Mysite


@asynccontextmanager
async def built(directory: Path, page: str) -> AsyncIterator[Mysite]:
    site = Mysite(directory)
    site.follow("docs/tutorial.md", "A project")
    site.run("manage.py", "startapp", "pages")
    settings = site.project / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + '\nINSTALLED_APPS += ["pages"]\n')
    site.follow(page)
    site.allow("/favicon.ico")
    with site:
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mysite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mysite]:
    async with built(tmp_path_factory.mktemp("mysite"), "docs/how-to/forms-and-events.md") as site:
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cards(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mysite]:
    async with built(tmp_path_factory.mktemp("cards"), "docs/how-to/call-from-scripts.md") as site:
        yield site


async def open_page(new_page: NewPage, mysite: Mysite, path: str) -> Page:
    new_page.allow("favicon")
    page = await new_page()
    await page.goto(mysite.url + path)
    await expect(page.locator("html")).to_have_attribute("data-presence-state", "live")
    return page


async def test_a_profile_is_refused_with_its_errors_and_then_saved(mysite: Mysite, new_page: NewPage) -> None:
    page = await open_page(new_page, mysite, "/profile/")
    name, age = page.get_by_label("Name"), page.get_by_label("Age")
    await name.fill("  Ada  ")
    await age.fill("-1")
    await page.get_by_label("Coffee").check()
    await page.get_by_role("button").click()
    await expect(page.locator(".errorlist")).to_have_text("Ensure this value is greater than or equal to 0.")
    await expect(name).to_have_value("  Ada  ")
    await expect(age).to_have_value("-1")
    await age.fill("36")
    await age.press("Enter")
    await expect(name).to_have_value("Ada")
    await expect(page.locator(".errorlist")).to_have_count(0)
    await expect(age).to_have_value("36")
    await expect(age).to_be_focused()
    await expect(page.get_by_label("Coffee")).to_be_checked()
    await expect(page.get_by_label("Tea")).not_to_be_checked()
    await new_page.close()


async def test_a_composer_is_emptied_and_both_see_what_was_said(mysite: Mysite, new_page: NewPage) -> None:
    pages = [await open_page(new_page, mysite, "/talk/") for _ in range(2)]
    drafting = pages[1].get_by_label("Message")
    await drafting.press_sequentially("not yet")
    box = pages[0].get_by_label("Message")
    for text in ("Hello", "<b>Tea?</b>"):
        await box.fill(text)
        await box.press("Enter")
        await expect(box).to_have_value("")
    for page in pages:
        await expect(page.locator("li")).to_have_text(["Hello", "<b>Tea?</b>"])
    await expect(drafting).to_have_value("not yet")
    await new_page.close()


async def test_a_search_follows_what_is_typed(mysite: Mysite, new_page: NewPage) -> None:
    page = await open_page(new_page, mysite, "/search/")
    await page.get_by_label("Search").press_sequentially("res", delay=20)
    await expect(page.locator("li")).to_have_text(["presence", "present", "press"])
    await page.get_by_label("from Z to A").check()
    await expect(page.locator("li")).to_have_text(["press", "present", "presence"])
    await page.get_by_label("Search").press("End")
    await page.get_by_label("Search").press_sequentially("?")
    await expect(page.locator("li")).to_have_text(["Nothing"])
    await expect(page.get_by_label("Search")).to_have_value("res?")
    await new_page.close()


async def test_a_card_is_dragged_for_everybody(cards: Mysite, new_page: NewPage) -> None:
    one, two = [await open_page(new_page, cards, "/cards/") for _ in range(2)]
    await one.locator("#card-1").drag_to(one.locator("#done"))
    for page in (one, two):
        await expect(page.locator("#done p")).to_have_text(["Boil water", "Buy tea"])
    new_page.allow("WebSocket|ERR_CONNECTION")
    cards.stop()
    await expect(one.locator("html")).to_have_attribute("data-presence-state", "reconnecting")
    await one.locator("#card-1").drag_to(one.locator("#todo"))
    await expect(one.locator("#note")).to_have_text("No connection: nothing was moved.")
    await expect(one.locator("#done p")).to_have_text(["Boil water", "Buy tea"])
    await new_page.close()
    cards.start()


async def test_a_visitor_who_does_nothing_for_a_minute_or_looks_elsewhere_is_away(
    cards: Mysite, new_page: NewPage
) -> None:
    two = await open_page(new_page, cards, "/cards/")
    new_page.allow("favicon")
    one = await new_page()
    await one.clock.install()
    await one.goto(cards.url + "/cards/")
    await expect(one.locator("html")).to_have_attribute("data-presence-state", "live")
    away = two.locator(".away")
    await expect(two.locator(".active")).to_have_count(2)
    await one.clock.fast_forward(60_000)
    await expect(away).to_have_count(1)
    await one.keyboard.press("Shift")
    await expect(away).to_have_count(0)
    await one.evaluate(
        """() => {
          Object.defineProperty(document, "hidden", { value: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    await expect(away).to_have_count(1)
    await new_page.close()
