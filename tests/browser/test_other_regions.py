"""A page that was loaded with other regions than the view behind its socket has."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.harness import Site, Wire


def region(number: int, text: str) -> str:
    return f'<live-region id="live-{number}"><p>{text}</p></live-region>'


async def mount(site: Site, page: Page, body: str, **regions: str) -> Wire:
    """Open a page with *body*; the view behind its socket has *regions*."""
    site.body = body
    await page.goto(site.url)
    wire = await site.wire()
    await wire.ready()
    await wire.send("render", regions={name.replace("_", "-"): html for name, html in regions.items()})
    return wire


@pytest.mark.parametrize(
    ("loaded", "regions", "whole"),
    [
        (
            region(2, "2"),
            {"live_1": "<p>one</p>", "live_2": "<p>two</p>"},
            region(1, "one") + region(2, "two"),
        ),
        (region(1, "1") + region(2, "2"), {"live_2": "<p>two</p>"}, region(2, "two")),
        (region(1, "1"), {"live_2": "<p>two</p>"}, region(2, "two")),
        ("<p>nothing</p>", {"live_1": "<p>one</p>"}, region(1, "one")),
    ],
    ids=["one has come", "one has gone", "another", "the first"],
)
async def test_it_asks_for_the_page_and_shows_that(
    site: Site, page: Page, loaded: str, regions: dict[str, str], whole: str
) -> None:
    wire = await mount(site, page, loaded, **regions)
    assert await wire.read() == {"type": "page"}
    await wire.send("render", regions={"*": f"<body>{whole}</body>"})
    texts = [html[3:-4] for html in regions.values()]
    await expect(page.locator("p")).to_have_text(texts)
    await wire.send("render", regions={"live-2": "<p>more</p>", "live-1": "<p>more</p>"})
    await expect(page.locator("p")).to_have_text(["more"] * len(texts))


@pytest.mark.parametrize(
    ("loaded", "regions"),
    [
        (region(1, "1") + region(2, "2"), {"live_2": "<p>two</p>", "live_1": "<p>one</p>"}),
        ("<p>nothing</p>", {"*": "<body><p>all</p></body>"}),
    ],
    ids=["the same", "all of it"],
)
async def test_a_page_with_the_regions_of_its_view_asks_for_nothing(
    site: Site, page: Page, loaded: str, regions: dict[str, str]
) -> None:
    wire = await mount(site, page, loaded, **regions)
    # A part of them is no other set of regions, later on.
    await wire.send("render", regions={"live-2": "<p>later</p>"})
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}
