"""Takes docs/_static/screenshot.png: a document of the demo in the browsers of two people, side by side."""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.servers import SiteServer, find_chromium  # noqa: E402

TARGET = ROOT / "docs" / "_static" / "screenshot.png"
PEOPLE = {"ada": "light", "grace": "dark"}
OTHERS = ["guest", "alan"]  # Alan comes last, which the pages say
SIZE = (880, 740)
PAGE = "/document/42/"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FRAMES = """<!doctype html><meta charset="utf-8"><style>
  body { margin: 0; padding: 36px; display: flex; gap: 32px; background: linear-gradient(135deg, #dcd8ff, #cfeee4) }
  figure { margin: 0; border-radius: 14px; overflow: hidden; box-shadow: 0 2px 6px #1d1b2033, 0 24px 48px -20px #1d1b2088 }
  figcaption { display: flex; gap: 8px; padding: 12px 16px; background: #e7e4ee }
  .dark figcaption { background: #2a2833 }
  i { width: 12px; height: 12px; border-radius: 50%; background: #a9a4b5 }
  .dark i { background: #5d5969 }
  img { display: block; width: WIDTHpx; height: HEIGHTpx }
</style>"""


async def open_page(browser: Browser, url: str, person: str) -> Page:
    width, height = SIZE
    context = await browser.new_context(
        color_scheme="dark" if PEOPLE.get(person) == "dark" else "light",
        viewport={"width": width, "height": height},
        device_scale_factor=2,
        reduced_motion="reduce",
    )
    page = await context.new_page()
    await page.goto(f"{url}/as/{person}/?next={PAGE}")
    return page


async def compose(browser: Browser, shots: list[tuple[str, bytes]]) -> bytes:
    """The pictures in window frames, side by side."""
    width, height = SIZE
    html = FRAMES.replace("WIDTH", str(width)).replace("HEIGHT", str(height))
    for scheme, shot in shots:
        data = base64.b64encode(shot).decode()
        html += f'<figure class="{scheme}"><figcaption><i></i><i></i><i></i></figcaption>'
        html += f'<img src="data:image/png;base64,{data}"></figure>'
    page = await browser.new_page(viewport={"width": 2 * width + 104, "height": height + 108})
    await page.set_content(html)
    return await page.screenshot()


async def main() -> None:
    with SiteServer() as site:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
            pages = {}
            for number, person in enumerate([*PEOPLE, *OTHERS], 1):
                pages[person] = await open_page(browser, site.url, person)
                for page in pages.values():
                    await page.get_by_text(f"{number} user").wait_for()
            for person in PEOPLE:
                await pages[person].get_by_text("Alan joined").wait_for()
            shots = [(scheme, await pages[person].screenshot()) for person, scheme in PEOPLE.items()]
            picture = await compose(browser, shots)
            await browser.close()
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(picture)
    print(TARGET.relative_to(ROOT))


if __name__ == "__main__":
    asyncio.run(main())
