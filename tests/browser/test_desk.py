"""Everything that a person does at a page of a real server, while others come and go."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio
import websockets
from playwright.async_api import Page, expect
from websockets.typing import Origin

from tests.browser.conftest import NewPage
from tests.browser.desk import DeskServer
from tests.until import until

OTHERS = 20
FIELDS = ("note", "letter", "draft")
STATE = """
() => ({
  values: Object.fromEntries(["note", "letter", "draft"].map((id) => [id, document.getElementById(id).value])),
  carets: Object.fromEntries(["note", "letter", "draft"].map((id) => [id, document.getElementById(id).selectionEnd])),
  agree: document.getElementById("agree").checked,
  colour: document.getElementById("colour").value,
  more: document.getElementById("more").open,
  scroll: document.getElementById("lines").scrollTop,
})
"""
WATCH = """
() => {
  window.renders = 0;
  window.most = 0;
  document.addEventListener("presence-client:render", () => {
    window.renders += 1;
    window.most = Math.max(window.most, parseInt(document.getElementById("count").textContent));
  });
}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk() -> AsyncIterator[DeskServer]:
    with DeskServer() as server:
        yield server


async def sit_down(page: Page, desk: DeskServer, htmx: str) -> Page:
    await page.goto(f"{desk.url}/?htmx={htmx}")
    await expect(page.locator("html")).to_have_attribute("data-presence-state", "live")
    return page


async def come_and_go(desk: DeskServer, pages: list[Page], path: str = "/") -> None:
    """Let others come, stay until each of *pages* has shown all of them at once, and go."""
    shown = asyncio.Event()

    async def visit(number: int) -> None:
        # Without cookies, and so somebody different each time.
        await asyncio.sleep(number / OTHERS)
        async with websockets.connect(
            desk.url.replace("http", "ws") + path, origin=Origin(desk.url)
        ) as socket:
            await socket.recv()
            await shown.wait()
            await asyncio.sleep(number / OTHERS)

    async with asyncio.TaskGroup() as group:
        for number in range(OTHERS):
            group.create_task(visit(number))
        for page in pages:
            await until(partial(page.evaluate, f"window.most > {OTHERS}"), pause=0.1)
        shown.set()


async def settle(page: Page) -> None:
    """Use every control that takes no typing, and put the caret between two brackets in those that do."""
    await page.locator("#agree").check()
    await page.locator("#colour").select_option("green")
    await page.locator("#more summary").click()
    await page.locator("#lines").evaluate("list => list.scrollTop = 120")
    for name in FIELDS:
        await page.locator(f"#{name}").fill("[]")
        await page.locator(f"#{name}").press("ArrowLeft")
    await page.evaluate(WATCH)


async def type_until(page: Page, over: asyncio.Event) -> dict[str, str]:
    """Go from field to field and type until *over*; return the text typed into each."""
    typed = dict.fromkeys(FIELDS, "")
    letters = itertools.cycle("the quick brown fox jumps over the lazy dog ")
    for name in itertools.cycle(FIELDS):
        await page.locator(f"#{name}").focus()
        for letter in itertools.islice(letters, 7):
            await page.keyboard.type(letter, delay=5)
            typed[name] += letter
        if over.is_set() and name == FIELDS[-1]:
            return typed
    raise AssertionError


@pytest.mark.parametrize("htmx", ["", "2", "4"])
async def test_nothing_is_lost_while_twenty_others_come_and_go(
    desk: DeskServer, new_page: NewPage, htmx: str
) -> None:
    first = await sit_down(await new_page(), desk, htmx)
    pages = [first, await sit_down(await new_page(context=first.context), desk, htmx)]
    for page in pages:
        await expect(page.locator("#count")).to_have_text("1 online")
        await settle(page)
    over = asyncio.Event()
    typing = [asyncio.create_task(type_until(page, over)) for page in pages]
    await come_and_go(desk, pages)
    for page in pages:
        await expect(page.locator("#count")).to_have_text("1 online")
    over.set()
    for page, typed in zip(pages, await asyncio.gather(*typing), strict=True):
        await expect(page.locator("#echo")).to_have_text(f"[{typed['draft']}]")
        assert await page.evaluate(STATE) == {
            "values": {name: f"[{text}]" for name, text in typed.items()},
            "carets": {name: len(text) + 1 for name, text in typed.items()},
            "agree": True,
            "colour": "green",
            "more": True,
            "scroll": 120,
        }
        assert await page.evaluate("document.activeElement.id") == FIELDS[-1]
        assert await page.evaluate("window.renders") >= 5  # or the test would prove nothing
    await new_page.close()


async def test_a_composer_and_an_edit_form_of_a_real_view(desk: DeskServer, new_page: NewPage) -> None:
    desk.allow("The event handler DeskView.post failed")
    page = await sit_down(await new_page(), desk, "")
    text, name = page.locator("#composer input"), page.locator("#rename input")
    for said in ("one", "two"):
        await text.fill(said)
        await text.press("Enter")
        await expect(text).to_have_value("")
    await expect(page.locator("#sent li")).to_have_text(["one", "two"])
    await text.fill("fail")
    async with page.expect_console_message(lambda message: "was refused (failed)" in message.text):
        await text.press("Enter")
    await expect(text).to_have_value("fail")
    await name.fill("  Grace ")
    await page.get_by_role("button", name="Save").click()
    await expect(name).to_have_value("Grace")
    await new_page.close()


async def test_rows_shapes_and_options_come_and_go_in_their_places(page: Page, desk: DeskServer) -> None:
    await page.goto(f"{desk.url}/table/")
    assert await page.locator("table > *").evaluate_all("them => them.map(({localName}) => localName)") == [
        "caption",
        "thead",
        "tbody",
        "tfoot",
    ]
    await expect(page.locator("tbody.rows > tr > td")).to_have_count(2)
    await expect(page.locator("html")).to_have_attribute("data-presence-state", "live")
    await page.evaluate(WATCH.replace('"count"', '"live-1"'))
    await page.evaluate(
        """() => {
          const region = document.querySelector(".rows");
          region.classList.add("sorted");
          region.querySelector("tr").classList.add("mine");
        }"""
    )
    await come_and_go(desk, [page], "/table/")
    await expect(page.locator("caption")).to_have_text("1 online", timeout=20_000)
    await expect(page.locator("tfoot[data-of] td[colspan]")).to_have_text("1 in all")
    await expect(page.locator("table > *")).to_have_count(4)
    await expect(page.locator("tbody > tr")).to_have_class("mine")
    await expect(page.locator("tbody")).to_have_class("rows sorted")
    await expect(page.locator("optgroup > option")).to_have_count(1)
    async with (
        websockets.connect(desk.url.replace("http", "ws") + "/table/", origin=Origin(desk.url)) as one,
        websockets.connect(desk.url.replace("http", "ws") + "/table/", origin=Origin(desk.url)) as other,
    ):
        await one.recv()
        await other.recv()
        await expect(page.locator("tbody > tr > td")).to_have_count(6)
        await expect(page.locator("optgroup > option")).to_have_count(3)
        drawn = "shapes => shapes.map((shape) => shape.getBBox().width)"
        assert await page.locator("svg > g[fill] > rect").evaluate_all(drawn) == [8, 8, 8]
