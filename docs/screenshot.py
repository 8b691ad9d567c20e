"""Takes docs/_static/screenshot.png: the demo's whiteboard in the browsers of two people, side by side."""

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
SIZE = (820, 890)
PAGE = "/whiteboard/tea/"
# A cup of tea. The last stroke of each is drawn at the moment of the picture.
DRAWING = {
    "ada": [
        "M470 570C480 840 560 940 690 940S900 840 910 570Z",
        "M905 640C1040 610 1040 820 870 820",
        "M400 970C540 1030 840 1030 980 970",
    ],
    "grace": [
        "M600 500C550 440 650 400 600 330",
        "M700 490C650 420 750 370 700 290",
        "M800 500C750 440 850 400 805 320",
    ],
    "alan": [
        "M1180 470C1110 340 1010 470 1180 600C1350 470 1250 340 1180 470Z",
        "M1120 740C1180 780 1260 780 1330 720",
    ],
}
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


async def draw(page: Page, path: str) -> None:
    """Draw along a path of the board, with the mouse."""
    points, box = await page.evaluate(
        """(d) => {
          const drawing = document.getElementById("drawing");
          const path = document.createElementNS(drawing.namespaceURI, "path");
          path.setAttribute("d", d);
          const at = (part) => path.getPointAtLength(part * path.getTotalLength());
          const points = Array.from({ length: 41 }, (_, n) => at(n / 40)).map(({ x, y }) => [x, y]);
          return [points, drawing.getBoundingClientRect().toJSON()];
        }""",
        path,
    )
    for number, (x, y) in enumerate(points):
        await page.mouse.move(box["x"] + x * box["width"] / 1600, box["y"] + y * box["height"] / 1280)
        if number == 0:
            await page.mouse.down()
    await page.mouse.up()


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
            pages = {person: await open_page(browser, site.url, person) for person in DRAWING}
            for page in pages.values():
                await page.get_by_text(f"Here now {len(pages)}").wait_for()
            for person, page in pages.items():
                for path in DRAWING[person][:-1]:
                    await draw(page, path)
            for person, page in pages.items():
                await draw(page, DRAWING[person][-1])
            await pages["ada"].locator("path[data-id]").nth(sum(map(len, DRAWING.values())) - 1).wait_for()
            shots = [(scheme, await pages[person].screenshot()) for person, scheme in PEOPLE.items()]
            picture = await compose(browser, shots)
            await browser.close()
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(picture)
    print(TARGET.relative_to(ROOT))


if __name__ == "__main__":
    asyncio.run(main())
