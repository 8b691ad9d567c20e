"""The README's pages, built to the letter, in two browsers."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import expect

from tests.browser.conftest import NewPage
from tests.mysite import Mysite


async def test_two_browsers_see_each_other_on_both_pages(tmp_path: Path, new_page: NewPage) -> None:
    mysite = Mysite(tmp_path)
    mysite.follow("README.md", "In your own project")
    mysite.allow("/favicon.ico")
    new_page.allow("favicon")
    with mysite:
        one, two = await new_page(), await new_page()
        for page in (one, two):
            await page.goto(mysite.url)
        for page in (one, two):
            await expect(page.locator("p")).to_contain_text("2 online")
            await expect(page.locator(".presence-avatar")).to_have_count(2)
        for page in (one, two):
            await page.goto(f"{mysite.url}/document/1/")
        for page in (one, two):
            await expect(page.locator("p")).to_contain_text("2 online")
            for name in await page.locator("b").all():
                await expect(name).not_to_have_css("background-color", "rgba(0, 0, 0, 0)")
        await one.get_by_label("Your name").fill("Ada")
        await expect(two.locator("b", has_text="Ada")).to_be_visible()
        await two.context.close()
        await expect(one.locator("p")).to_contain_text("1 online")
        await new_page.close()
