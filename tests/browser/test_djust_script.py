"""Our script beside djust's own client, whose socket it listens to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.djust_board import BoardServer
from tests.browser.harness import DRAWN, add_rule, eventually, listen
from tests.browser.test_colors import OF_ELEMENTS, OTHERS, RULES, elements
from tests.browser.test_djust_cursors import SOON, open_board, point, where

START = """
for (const [name, data] of [["djust", {}], ["base", {cursors: "/static/djust_presence/cursors.js"}]]) {
  const script = document.createElement("script");
  Object.assign(script.dataset, data);
  script.src = `/static/djust_presence/${name}.js`;
  document.head.append(script);
}
"""


@pytest.fixture
def board() -> Iterator[BoardServer]:
    with BoardServer() as server:
        server.allow(r"in-memory state backend")  # the board is one process
        yield server


async def test_pointers_of_others_end_no_loading_state(board: BoardServer, new_page: NewPage) -> None:
    one, two = await open_board(board, new_page), await open_board(board, new_page)
    await point(two, 10, 10)
    await eventually(one, DRAWN, [await where(one, 10, 10)])
    wait = one.locator("#wait.djust-loading")
    await one.locator("#wait").click()
    await expect(wait).to_be_attached(timeout=SOON)
    await point(two, 120, 80)
    await eventually(one, DRAWN, [await where(one, 120, 80)])
    await expect(wait).to_be_attached()
    await two.locator("#release").click()
    await expect(wait).not_to_be_attached(timeout=SOON)


async def test_a_broadcast_is_an_event_of_djusts_and_one_of_ours(
    board: BoardServer, new_page: NewPage
) -> None:
    one, two = await open_board(board, new_page), await open_board(board, new_page)
    await listen(one, "djust:push_event", "presence:shout")
    await expect(one.locator("#count")).to_have_text("2 here", timeout=SOON)
    await two.locator("#shout").click()
    await eventually(
        one,
        "window.recorded",
        [
            ["djust:push_event", {"event": "shout", "payload": {"text": "hi"}}],
            ["presence:shout", {"text": "hi"}],
        ],
    )


async def test_a_script_that_comes_after_the_socket_works_as_well(
    board: BoardServer, new_page: NewPage
) -> None:
    one, two = await new_page(), await open_board(board, new_page)
    await one.goto(board.url + "/bare/")
    await expect(one.locator("#count")).to_have_text("2 here", timeout=SOON)
    await one.evaluate(f"() => {{ {START} }}")
    await expect(one.locator("presence-cursors")).to_be_attached(timeout=SOON)
    await point(two, 120, 80)
    await eventually(one, DRAWN, [await where(one, 120, 80)])
    await point(one, 300, 200)
    await eventually(two, DRAWN, [await where(two, 300, 200)])


async def test_names_of_elements_make_no_difference(board: BoardServer, new_page: NewPage) -> None:
    one, two = await new_page(), await open_board(board, new_page)
    asked: list[str] = []
    one.on("request", lambda request: asked.append(request.url))
    await one.goto(board.url + "/bare/")
    await expect(one.locator("#count")).to_have_text("2 here", timeout=SOON)
    await one.evaluate(
        """() => {
          const html = `<img name="currentScript" alt="" data-cursors="/evil.js">
            <form data-presence-color="red"><input name="style"></form>`;
          document.body.insertAdjacentHTML("beforeend", html);
        }"""
    )
    await one.evaluate(f"() => {{ {START} }}")
    await expect(one.locator("presence-cursors")).to_be_attached(timeout=SOON)
    await point(two, 120, 80)
    await eventually(one, DRAWN, [await where(one, 120, 80)])
    color = "getComputedStyle(document.querySelector('form')).getPropertyValue('--presence-color')"
    assert await one.evaluate(color) == "red"
    assert not [url for url in asked if url.endswith("/evil.js")]


async def test_an_element_is_painted_with_nothing_but_a_colour(board: BoardServer, new_page: NewPage) -> None:
    page = await open_board(board, new_page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await add_rule(page, RULES)
    await page.evaluate(
        "(html) => document.body.insertAdjacentHTML('beforeend', html)", elements([*OTHERS, "red"])
    )
    await eventually(page, OF_ELEMENTS, [*("" for _ in OTHERS), "red"])
    await page.screenshot()
    assert not [url for url in asked if url.endswith("/fetched")]


async def test_cursors_survive_another_layout_and_then_another_socket(
    board: BoardServer, new_page: NewPage
) -> None:
    new_page.allow("WebSocket")
    new_page.allow("ERR_CONNECTION_REFUSED")
    one, two = await open_board(board, new_page), await open_board(board, new_page)
    await one.locator("#widen").click()
    await expect(one.locator("body#wide")).to_be_attached(timeout=SOON)
    await point(two, 120, 80)
    await eventually(one, DRAWN, [await where(one, 120, 80)])
    board.stop()
    await eventually(one, DRAWN, [])
    board.start()
    for page in (one, two):
        await connected(page)
    await point(two, 50, 60)
    await eventually(one, DRAWN, [await where(one, 50, 60)])


async def connected(page: Page) -> None:
    await expect(page.locator("body.dj-connected")).to_be_attached(timeout=4 * SOON)
