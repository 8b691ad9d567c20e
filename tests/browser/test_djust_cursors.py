"""Cursors on a page of real djust, over djust's own socket, in real browsers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.djust_board import BoardServer
from tests.browser.harness import DRAWN, eventually

SOON = 10_000  # milliseconds


@pytest.fixture
def board() -> Iterator[BoardServer]:
    with BoardServer() as server:
        server.allow(r"in-memory state backend")  # the board is one process
        yield server


async def open_board(board: BoardServer, new_page: NewPage) -> Page:
    page = await new_page()
    await page.goto(board.url)
    await expect(page.locator("presence-cursors")).to_be_attached(timeout=SOON)
    return page


async def where(page: Page, x: int, y: int) -> list[object]:
    """Return what a page draws for a pointer at this place of the board."""
    box = await page.locator("#board").bounding_box()
    assert box
    return ["Somebody", round(box["x"] + x), round(box["y"] + y)]


async def point(page: Page, x: int, y: int) -> None:
    await page.locator("#board").hover(position={"x": x, "y": y})


async def test_each_page_draws_the_others_pointers(board: BoardServer, new_page: NewPage) -> None:
    one, two = await open_board(board, new_page), await open_board(board, new_page)
    await expect(one.locator("#count")).to_have_text("2 here", timeout=SOON)
    await point(two, 120, 80)
    await eventually(one, DRAWN, [await where(one, 120, 80)])
    await point(one, 300, 200)
    await eventually(two, DRAWN, [await where(two, 300, 200)])
    await point(two, 200, 150)
    await eventually(one, DRAWN, [await where(one, 200, 150)])
    three = await open_board(board, new_page)
    await eventually(three, DRAWN, [await where(three, 200, 150), await where(three, 300, 200)])
    await two.close()
    await eventually(one, DRAWN, [])
    await expect(one.locator("#count")).to_have_text("2 here", timeout=SOON)


async def test_cursors_come_back_with_the_server(board: BoardServer, new_page: NewPage) -> None:
    new_page.allow("WebSocket")
    new_page.allow("ERR_CONNECTION_REFUSED")
    one, two = await open_board(board, new_page), await open_board(board, new_page)
    await point(two, 120, 80)
    await eventually(one, DRAWN, [await where(one, 120, 80)])
    board.stop()
    await eventually(one, DRAWN, [])
    board.start()
    await expect(one.locator("body.dj-connected")).to_be_attached(timeout=4 * SOON)
    await expect(two.locator("body.dj-connected")).to_be_attached(timeout=4 * SOON)
    await point(two, 50, 60)
    await eventually(one, DRAWN, [await where(one, 50, 60)])
