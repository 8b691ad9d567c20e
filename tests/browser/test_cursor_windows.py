"""Cursors in two windows of different sizes, and in a page with many of them."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import NewPage
from tests.browser.harness import DRAWN, Site, Wire, board, draw

TEXT = "The quick brown fox jumps over the lazy dog while everybody looks on from far away "
WORDS = "<live-cursors><main>{}</main></live-cursors>".format(
    " ".join(f'<span id="w{number}">{word}</span>' for number, word in enumerate((TEXT * 40).split()))
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
# The word under a point, as its text and number.
UNDER = """
([x, y]) => {
  const word = document.elementFromPoint(x, y);
  return [...document.querySelectorAll("main > *")].indexOf(word);
}
"""


async def latest(wire: Wire, page: Page) -> dict[str, Any]:
    """The last of the positions that the page has sent by the time that it has come to rest."""
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
    """Where the only cursor is drawn, when it has come to rest."""
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

    for word in (20, 90, 145):
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
