"""Beside a page's own htmx."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.browser.harness import (
    STATE,
    Site,
    eventually,
    region,
    render,
    visit,
)
from tests.browser.harness.libraries import libraries


@pytest.fixture(autouse=True)
def _htmx(site: Site) -> None:
    site.static |= libraries()


HTMX_PAGE = '<button id="old" hx-get="/hit" hx-target="#out">old</button><p id="out"></p>'


@pytest.mark.parametrize("version", [2, 4])
@pytest.mark.parametrize("loading", ["before", "later"])
async def test_a_pages_own_htmx_works_as_before(site: Site, page: Page, version: int, loading: str) -> None:
    site.plain["/hit"] = "hit"
    # htmx 2 puts its indicator style into the page, which no strict policy allows.
    site.head = """<meta name="htmx-config" content='{"includeIndicatorStyles": false}'>"""
    if loading == "before":
        site.head += f'<script src="/static/htmx-{version}.js" defer></script>'
    wire = await visit(site, page, HTMX_PAGE)
    if loading == "later":
        await page.add_script_tag(url=f"/static/htmx-{version}.js")
        await page.evaluate("htmx.process(document.body)")
    await page.evaluate("window.own = htmx")
    await render(wire, page, HTMX_PAGE + '<button id="new" hx-get="/hit" hx-target="#out">new</button>')
    assert (await page.evaluate("htmx.version")).startswith(str(version))
    assert await page.evaluate("window.own === htmx")
    for turn, button in enumerate(["#old", "#new", "#old"]):
        async with page.expect_response("**/hit"):
            await page.locator(button).click()
        assert site.requests.count("GET /hit") == turn + 1
    await expect(page.locator("#out")).to_have_text("hit")
    await render(wire, page, HTMX_PAGE)
    await expect(page.locator("#out")).to_have_text("hit")


@pytest.mark.parametrize("version", [2, 4])
async def test_an_element_with_attributes_of_both_does_both_once(
    site: Site, page: Page, version: int
) -> None:
    html = (
        '<form dj-submit="save" hx-get="/form" hx-target="#out"><input name="a"><button>Save</button></form>'
        '<button id="click" dj-click="go" hx-get="/click" hx-target="#out">Go</button>'
        '<input id="type" name="q" dj-input="search" dj-debounce="0" hx-get="/input" hx-trigger="input" hx-target="#out">'
        '<p id="out"></p><i>{}</i>'
    )
    for path in ("/form", "/click", "/input"):
        site.plain[path] = path
    site.head = (
        """<meta name="htmx-config" content='{"includeIndicatorStyles": false}'>"""
        f'<script src="/static/htmx-{version}.js" defer></script>'
    )
    wire = await visit(site, page, html.format(0))
    for turn in (1, 2):
        await render(wire, page, html.format(turn))
        await page.locator("[name=a]").fill("x")
        for locator, name, path in (
            ("form button", "save", "/form"),
            ("#click", "go", "/click"),
            ("#type", "search", "/input"),
        ):
            async with page.expect_response(f"**{path}*"):
                if name == "search":
                    await page.locator(locator).press_sequentially("y")
                else:
                    await page.locator(locator).click()
            frame = await wire.read()
            assert frame["name"] == name
            await wire.send("ack", ref=frame["ref"])
            await expect(page.locator("#out")).to_have_text(path)
            assert site.requests.count(f"GET {path}") == turn
        await expect(page.locator("[name=a]")).to_have_value("")
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}


async def test_without_an_htmx_there_is_none(site: Site, page: Page) -> None:
    wire = await visit(site, page, '<button hx-get="/hit">x</button>')
    await render(wire, page, '<button hx-get="/hit">y</button>')
    await page.locator("button").click()
    assert await page.evaluate("['htmx' in window, history.state, document.adoptedStyleSheets.length]") == [
        False,
        None,
        1,
    ]
    assert "GET /hit" not in site.requests


async def test_a_boosted_navigation_brings_the_next_pages_socket(site: Site, page: Page) -> None:
    site.head = '<script src="/static/htmx-4.js" defer></script>'
    site.pages["/next"] = region("<p>next</p>")
    wire = await visit(site, page, '<a href="/next" hx-boost="true">next</a>')
    leaving = asyncio.create_task(wire.gone())
    await page.locator("a").click()
    following = await site.wire()
    assert following.url == "/next"
    assert await leaving == 1000
    await following.ready()
    await render(following, page, "<p>live</p>")
    assert site.unclaimed_wires == 0


@pytest.mark.parametrize("version", [2, 4])
async def test_a_boosted_navigation_from_a_plain_page_brings_the_scripts(
    site: Site, page: Page, version: int
) -> None:
    site.head = (
        """<meta name="htmx-config" content='{"includeIndicatorStyles": false}'>"""
        f'<script src="/static/htmx-{version}.js" defer></script>'
    )
    site.plain["/start"] = '<a href="/" hx-boost="true">go</a>'
    site.body = region("<p>0</p><b>same</b>")
    await page.goto(site.url + "/start")
    await page.locator("a").click()
    wire = await site.wire()
    assert wire.url == "/"
    await wire.ready()
    # htmx 4 lets the two scripts run in any order.
    symbols = "Object.getOwnPropertySymbols(document).map(({description}) => description)"
    await eventually(page, f"{symbols}.includes('djust_presence.patch')")
    await page.evaluate("document.querySelector('b').append('mine')")
    await render(wire, page, "<p>1</p><b>same</b>")
    await expect(page.locator("p")).to_have_text("1")
    await expect(page.locator("b")).to_have_text("samemine")


@pytest.mark.parametrize("version", [2, 4])
async def test_after_a_boosted_navigation_the_next_page_is_what_is_compared(
    site: Site, page: Page, version: int
) -> None:
    site.head = (
        """<meta name="htmx-config" content='{"includeIndicatorStyles": false}'>"""
        f'<script src="/static/htmx-{version}.js" defer></script>'
    )
    site.pages["/next"] = region("<p>next</p><b>old</b>")
    wire = await visit(site, page, '<a href="/next" hx-boost="true">next</a><b>old</b>')
    await render(wire, page, '<a href="/next" hx-boost="true">next</a><b>new</b>')
    await page.locator("a").click()
    following = await site.wire()
    await following.ready()
    await page.evaluate("document.querySelector('p').append('mine')")
    await render(following, page, "<p>next</p><b>new</b>")
    await expect(page.locator("b")).to_have_text("new")
    await expect(page.locator("p")).to_have_text("nextmine")


async def test_a_boosted_navigation_to_a_plain_page_is_not_overwritten(site: Site, page: Page) -> None:
    site.head = '<script src="/static/htmx-4.js" defer></script>'
    site.plain["/next"] = "<p>plain</p>"
    wire = await visit(site, page, '<a href="/next" hx-boost="true">next</a>')
    await page.locator("a").click()
    await expect(page.locator("p")).to_have_text("plain")
    assert page.url == site.url + "/next"
    leaving = asyncio.create_task(wire.gone())
    await wire.render("<p>of the other page</p>", "*")
    assert await leaving == 1000
    assert await page.locator("p").text_content() == "plain"
    assert await page.evaluate(STATE) == "stopped"


async def test_typed_text_goes_to_the_page_it_was_typed_on(site: Site, page: Page) -> None:
    site.head = '<script src="/static/htmx-4.js" defer></script>'
    site.pages["/next"] = region("<p>next</p>")
    wire = await visit(
        site,
        page,
        '<input name="text" dj-input="edit" dj-debounce="60000"><a href="/next" hx-boost="true">next</a>',
    )
    await page.locator("input").press_sequentially("a draft")
    await page.locator("a").click()
    frame = await wire.read()
    assert (frame["name"], frame["params"]["value"]) == ("edit", "a draft")
    following = await site.wire()
    await following.ready()
    await render(following, page, "<p>live</p>")
    await following.send("ping")
    assert await following.read() == {"type": "pong"}


async def test_a_boosted_return_to_the_same_address_brings_a_view_as_new_as_the_page(
    site: Site, page: Page
) -> None:
    site.head = '<script src="/static/htmx-4.js" defer></script>'
    wire = await visit(site, page, '<a href="/" hx-boost="true">again</a>')
    leaving = asyncio.create_task(wire.gone())
    await page.locator("a").click()
    following = await site.wire()
    assert following.url == "/"
    assert await leaving == 1000
    await following.ready()
    await render(following, page, "<p>live</p>")
    assert site.unclaimed_wires == 0
