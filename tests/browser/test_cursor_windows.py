"""Cursors in two windows of different sizes, and in a page with many of them."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from playwright.async_api import Browser, CDPSession, Page

from tests.browser.conftest import NewPage
from tests.browser.harness import DRAWN, Site, Wire, board, draw

TEXT = "The quick brown fox jumps over the lazy dog while everybody looks on from far away "
WORDS = "<live-cursors><main>{}</main></live-cursors>".format(
    " ".join(f'<span id="w{number}">{word}</span>' for number, word in enumerate((TEXT * 100).split()))
)
PICTURE = "<live-cursors><main>{}</main></live-cursors>".format(
    "".join(f'<b data-place="{x} {y}">w{x}-{y}</b>' for y in range(30) for x in range(5))
)
STYLES = {
    WORDS: "body main { height: auto; line-height: 30px }",
    PICTURE: """
        body main { position: relative; height: 1500px }
        b { position: absolute; width: 20%; height: 3%; left: 0; top: 0 }
    """,
}
PLACE = """
() => {
  for (const word of document.querySelectorAll("[data-place]")) {
    const [x, y] = word.dataset.place.split(" ");
    word.style.left = `${x * 20}%`;
    word.style.top = `${(y * 100) / 30}%`;
  }
}
"""
# The number of the word under a point.
UNDER = """
([x, y]) => {
  const word = document.elementFromPoint(x, y);
  return [...document.querySelectorAll("main > *")].indexOf(word);
}
"""


async def latest(wire: Wire, page: Page) -> dict[str, Any]:
    """Return the last position that the page has sent, once it sends no more."""
    frame: dict[str, Any] = {}
    await page.wait_for_timeout(100)
    await wire.send("ping")
    while (read := await wire.read())["type"] == "cursor":
        frame = read
    return frame


def as_move(number: int, frame: dict[str, Any]) -> list[Any]:
    fields = ("x", "y", "w", "h", "anchor", "ax", "ay", "aw", "ah", "surface", "touch")
    return [number, *(frame.get(field) for field in fields)]


async def tip(page: Page) -> list[float]:
    """Return where the only cursor is drawn, once it has come to rest."""
    await page.wait_for_timeout(300)
    ((_, *place),) = await page.evaluate(DRAWN)
    return list(place)


class Window:
    """A page of its own size, with the same content."""

    def __init__(self, page: Page, wire: Wire) -> None:
        self.page = page
        self.wire = wire

    async def scroll_to(self, word: int, top: int) -> None:
        """Scroll until the word is so far below the upper edge."""
        await (
            self.page.locator("main > *")
            .nth(word)
            .evaluate("(word, top) => scrollBy(0, word.getBoundingClientRect().top - top)", top)
        )

    async def under(self, place: list[float]) -> int:
        found: int = await self.page.evaluate(UNDER, place)
        return found


async def open_window(site: Site, new_page: NewPage, html: str, width: int, height: int) -> Window:
    page = await new_page(viewport={"width": width, "height": height})
    wire = await board(
        site, page, html, f"body main {{ width: auto; margin: {width // 20}px }}" + STYLES[html]
    )
    await page.evaluate(PLACE)
    return Window(page, wire)


@pytest.mark.parametrize(
    "sizes", [[(1100, 800), (420, 600)], [(420, 600), (1100, 800)]], ids=["large", "small"]
)
@pytest.mark.parametrize("html", [WORDS, PICTURE], ids=["anchors", "proportions"])
async def test_the_word_under_a_pointer_is_under_the_cursor_in_windows_of_other_sizes(
    site: Site, new_page: NewPage, sizes: list[tuple[int, int]], html: str
) -> None:
    here, there = [await open_window(site, new_page, html, *size) for size in sizes]

    async def follow(word: int) -> None:
        await draw(there.wire, as_move(1, await latest(here.wire, here.page)))
        for top in (300, 120):
            await there.scroll_to(word, top)
            assert await there.under(await tip(there.page)) == word

    words = await here.page.locator("main > *").count()
    for word in (words // 5, words * 4 // 5, words * 3 // 5):
        await here.scroll_to(word, 250)
        box = await here.page.locator("main > *").nth(word).bounding_box()
        assert box
        place = [box["x"] + box["width"] * 0.4, box["y"] + box["height"] / 2]
        await here.page.mouse.move(*place)
        assert await here.under(place) == word
        await follow(word)
    # Then the page is scrolled to another word, under the still pointer.
    x, y = place
    for further in range(60, 300, 15):
        if (other := await here.under([x, y - further])) >= 0:
            break
    await here.page.evaluate("(y) => scrollBy(0, -y)", further)
    assert await here.under(place) == other != word
    await follow(other)


# --- Many cursors

MANY = 50
RATE = 30
WINDOWS = 4
SECONDS = 1.5  # of each


async def script_seconds(devtools: CDPSession) -> float:
    metrics = (await devtools.send("Performance.getMetrics"))["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "ScriptDuration"))


async def move_many(wire: Wire, began: int, frames: int) -> None:
    """All of them, over words that they change now and then."""
    start = time.monotonic()
    for frame in range(began, began + frames):
        moves = [
            [n, 9, 9, 1080, 1500, f"w{(n * 5 + frame // 10) % 300}", (frame * 3 + n) % 40, frame % 20, 40, 20]
            for n in range(MANY)
        ]
        await wire.send("cursors", moves=moves)
        await asyncio.sleep(max(0, start + (frame - began + 1) / RATE - time.monotonic()))


async def test_fifty_moving_cursors_leave_the_page_its_time(
    browser: Browser, site: Site, new_page: NewPage
) -> None:
    here = await open_window(site, new_page, WORDS, 1200, 800)
    devtools = await here.page.context.new_cdp_session(here.page)
    # Processor time, to which other processes add nothing.
    await devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    await browser.start_tracing(page=here.page, categories=["toplevel"])
    who = {
        str(n): {"id": str(n), "name": f"Person {n}", "color": f"hsl({n * 7} 70% 50%)"} for n in range(MANY)
    }
    await here.wire.send("cursors", who=who)
    shares = []
    for window in range(WINDOWS):
        script, began = await script_seconds(devtools), time.monotonic()
        frames = int(SECONDS * RATE)
        await move_many(here.wire, window * frames, frames)
        shares.append((await script_seconds(devtools) - script) / (time.monotonic() - began))
    trace = json.loads(await browser.stop_tracing())
    assert len(await here.page.evaluate(DRAWN)) == MANY
    # What disturbs a measurement makes it larger.
    assert 0 < min(shares) <= 0.05, shares
    main = {
        (event["pid"], event["tid"])
        for event in trace["traceEvents"]
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        event["tdur"] / 1000
        for event in trace["traceEvents"]
        if event["name"].endswith("RunTask") and (event["pid"], event["tid"]) in main and "tdur" in event
    ]
    assert len(tasks) > WINDOWS * SECONDS * RATE
    assert max(tasks) <= 50, sorted(tasks)[-5:]
