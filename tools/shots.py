"""Takes pictures of every page of the demo with nine people on it: at 1280 and 390 pixels, light and dark.

python tools/shots.py [DIRECTORY]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser.conftest import CHROMIUM_ARGUMENTS  # noqa: E402
from tests.servers import SiteServer, find_chromium  # noqa: E402

PAGES = {
    "index": "/",
    "counter": "/counter/",
    "document": "/document/42/",
    "chat": "/chat/tea/",
    "whiteboard": "/whiteboard/friends/",
    "any": "/any/",
    "private": "/private/",
}
PEOPLE = ["ada", "guest", "grace", "guest", "alan", "katherine", "guest", "guest", "guest"]
# The first four are those whose windows are taken.
WINDOWS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]
SAID = {
    0: "Has anybody seen the kettle?",
    2: "It is on the difference engine. Mind the cogs: they are hot, and the lids of the cards stick to them in this weather.",
    1: "I drew you a cup on the whiteboard",
    3: "Lovely! Who brings the scones?",
}
LINES = [[(200, 300), (500, 900), (900, 900), (1200, 300)], [(1100, 500), (1400, 600), (1150, 800)]]


async def enter(page: Page, site: SiteServer, person: str, path: str) -> None:
    await page.goto("about:blank")  # or the page of before, logged out by this, would load itself again
    await page.goto(f"{site.url}/as/{person}/?next={path}")
    await page.locator("html:is([data-presence-state=live], [data-presence-feed=live])").wait_for()


async def draw(page: Page, line: list[tuple[int, int]]) -> None:
    box = await page.locator("#drawing").bounding_box()
    if box is None:
        raise RuntimeError("There is no board.")
    for number, (x, y) in enumerate(line):
        await page.mouse.move(
            box["x"] + x * box["width"] / 1600, box["y"] + y * box["height"] / 1280, steps=6
        )
        if number == 0:
            await page.mouse.down()
    await page.mouse.up()


async def act(name: str, pages: list[Page]) -> None:
    """Do what makes a page worth a picture."""
    if name == "chat":
        for number, text in SAID.items():
            await pages[number].get_by_role("textbox").fill(text)
            await pages[number].keyboard.press("Enter")
            await pages[0].get_by_text(text).wait_for()
        await pages[4].get_by_role("textbox").press_sequentially("Me")
        await pages[0].get_by_text("typing").wait_for()
    elif name == "whiteboard":
        for page, line in zip(pages[5:], LINES, strict=False):
            await draw(page, line)
    elif name == "document":
        await pages[4].get_by_role("button", name="Wave").click()
    await pages[0].wait_for_timeout(1200)


async def elsewhere(pages: list[Page], site: SiteServer) -> None:
    """Leave the first page to those whose windows are taken."""
    paths = [*[*PAGES.values()][1:5], "/document/42/"]
    for page, person, path in zip(pages[4:], PEOPLE[4:], paths, strict=True):
        await enter(page, site, person, path)
    await pages[0].wait_for_timeout(2500)


async def take(browser: Browser, site: SiteServer, directory: Path) -> None:
    pages = []
    for number in range(len(PEOPLE)):
        width, scheme = WINDOWS[number] if number < len(WINDOWS) else (900, "light")
        context = await browser.new_context(
            viewport={"width": width, "height": 844 if width < 500 else 800},
            color_scheme="dark" if scheme == "dark" else "light",
            device_scale_factor=2 if width < 500 else 1,
        )
        pages.append(await context.new_page())
    for name, path in PAGES.items():
        for page, person in zip(pages, PEOPLE, strict=True):
            await enter(page, site, "katherine" if name == "private" else person, path)
        await act(name, pages)
        if name == "index":
            await shoot(pages, directory, "index-nine")
            await elsewhere(pages, site)
        await shoot(pages, directory, name)


async def shoot(pages: list[Page], directory: Path, name: str) -> None:
    for page, (width, scheme) in zip(pages, WINDOWS, strict=False):
        await page.screenshot(
            path=directory / f"{name}-{width}-{scheme}.png", full_page=True, animations="disabled"
        )


async def main(directory: Path) -> None:
    with SiteServer() as site:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=find_chromium(), args=CHROMIUM_ARGUMENTS
            )
            await take(browser, site, directory)
            await browser.close()
    print(directory)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="shots-"))
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
