"""Pages whose address scripts change: the socket stays with that of the document."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import NewPage, launch
from tests.browser.harness import SOCKETS, STATE, Site, Wire, eventually, paused, region, render, visit
from tests.browser.harness.libraries import libraries
from tests.browser.harness.live import COUNTED
from tests.browser.test_how_to import built, open_page
from tests.mysite import Mysite

STATUS = "document.querySelector('presence-status').textContent"
SWAP = "document.querySelector('live-region').outerHTML = '<p>of a router</p>'"


async def again(site: Site, wire: Wire, page: Page) -> Wire:
    """Break the connection. Returns the next one."""
    await wire.close(1012)
    following = await site.wire()
    await following.ready()
    await eventually(page, STATE, "live")
    return following


@pytest.mark.parametrize(
    ("change", "url"),
    [
        ("history.pushState(null, '', '/elsewhere/?b=2')", "/room/?a=1"),
        ("history.replaceState(null, '', '/room?b=2')", "/room/?a=1"),
        ("location.hash = '#top'", "/room/?a=1"),
        ("history.pushState(null, '', '#top')", "/room/?a=1"),
        ("history.pushState(null, '', '?b=2')", "/room/?b=2"),
        ("history.replaceState(null, '', '/room/')", "/room/"),
    ],
)
async def test_a_page_stays_live_and_comes_back_to_its_address(
    site: Site, page: Page, change: str, url: str
) -> None:
    site.prefix = "/ws"
    wire = await visit(site, page, "<p>1</p>", "/room/?a=1")
    await page.evaluate(change)
    await render(wire, page, "<p>2</p>")
    await expect(page.locator("p")).to_have_text("2")
    following = await again(site, wire, page)
    assert following.url == f"/ws{url}"
    await render(following, page, "<p>3</p>")
    await expect(page.locator("p")).to_have_text("3")
    assert site.unclaimed_wires == 0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cards(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mysite]:
    async with built(tmp_path_factory.mktemp("cards"), "docs/how-to/call-from-scripts.md") as site:
        yield site


COUNTS = """
() => {
  window.counts = [];
  document.addEventListener("presence-client:render", () => window.counts.push(document.querySelectorAll("span").length));
}
"""
MOVE = "(column) => window.djustPresence.event('move', { card: 1, column })"


@pytest.mark.parametrize(
    "change",
    [
        "history.pushState(null, '', '/elsewhere/')",
        "history.replaceState(null, '', '/cards')",
        "history.pushState(null, '', '/elsewhere/'); history.back()",
        "location.hash = '#done'",
        "history.replaceState(null, '', '?a=1')",
    ],
)
async def test_others_go_on_counting_the_person(cards: Mysite, new_page: NewPage, change: str) -> None:
    one, two = [await open_page(new_page, cards, "/cards/") for _ in range(2)]
    await expect(two.locator("span")).to_have_count(2)
    await two.evaluate(COUNTS)
    await one.evaluate(f"() => {{ {change} }}")
    for column in ("done", "todo"):
        await two.evaluate(MOVE, column)
        await expect(one.locator(f"#{column} #card-1")).to_be_attached()
    assert await one.evaluate(STATE) == "live"
    await one.evaluate("() => window.djustPresence.event('set_status', { status: 'away' })")
    await expect(two.locator(".away")).to_have_count(1)
    assert set(await two.evaluate("window.counts")) == {2}
    await new_page.close()


async def test_back_and_forward_between_states_change_nothing(site: Site, page: Page) -> None:
    wire = await visit(site, page, "<p>1</p>", "/room/")
    for path in ("/one", "/two"):
        await page.evaluate("(path) => history.pushState(null, '', path)", path)
    for turn, step in enumerate(("back", "back", "forward")):
        await page.evaluate(f"history.{step}()")
        await eventually(page, "location.pathname", ["/one", "/room/", "/one"][turn])
        await render(wire, page, f"<p>{turn}</p>")
    assert (await again(site, wire, page)).url == "/room/"


async def test_the_last_query_of_its_own_path_stays(site: Site, page: Page) -> None:
    wire = await visit(site, page, "<p>1</p>", "/room/")
    await page.evaluate("history.pushState(null, '', '?b=2')")
    wire = await again(site, wire, page)
    assert wire.url == "/room/?b=2"
    await page.evaluate("history.pushState(null, '', '/elsewhere/?c=3')")
    assert (await again(site, wire, page)).url == "/room/?b=2"


@pytest.mark.parametrize("whole", [False, True])
async def test_a_script_may_change_the_address_before_ours_runs(site: Site, page: Page, whole: bool) -> None:
    await page.add_init_script("history.replaceState(null, '', location.pathname.replace(/\\/$/, ''))")
    site.body = "<p>0</p>" if whole else region("<p>0</p>")
    await page.goto(site.url + "/room/")
    wire = await site.wire()
    assert await page.evaluate("location.pathname") == "/room"
    assert wire.url == "/room/"
    await wire.ready()
    await wire.render("<p>1</p>", "*" if whole else "live-1")
    await expect(page.locator("p")).to_have_text("1")


async def test_after_the_back_forward_cache_it_comes_back_to_its_address(
    site: Site, browser: Browser
) -> None:
    chromium = await launch(
        browser.browser_type, whole=True, ignore_default_args=["--disable-back-forward-cache"]
    )
    pages = NewPage(chromium)
    page = await pages()
    wire = await visit(site, page, "<p>1</p>", "/room/")
    await page.evaluate(
        "window.addEventListener('pageshow', ({persisted}) => document.body.dataset.persisted = persisted)"
    )
    await page.evaluate("history.pushState(null, '', '/client/route')")
    leaving = asyncio.create_task(wire.gone())
    site.plain["/plain"] = "<p>plain</p>"
    await page.goto(site.url + "/plain")
    assert await leaving == 1000
    await page.go_back(wait_until="commit")
    wire = await site.wire()
    assert wire.url == "/room/"
    await wire.ready()
    await eventually(page, STATE, "live")
    assert await page.evaluate("document.body.dataset.persisted") == "true"
    await page.evaluate("history.back()")
    await eventually(page, "location.pathname", "/room/")
    await render(wire, page, "<p>2</p>")
    assert not pages.unexpected
    await chromium.close()


async def test_a_whole_page_stays_live_too(site: Site, page: Page) -> None:
    site.body = "<main><p>0</p></main>"
    await page.goto(site.url + "/room/")
    wire = await site.wire()
    await wire.ready()
    await page.evaluate("history.pushState(null, '', '/elsewhere/')")
    for turn in (1, 2):
        await wire.render(f"<body><main><p>{turn}</p></main></body>", "*")
        await expect(page.locator("p")).to_have_text(str(turn))


async def test_a_page_whose_regions_a_router_has_taken_stops_and_says_so(site: Site, page: Page) -> None:
    warnings: list[str] = []
    page.on("console", lambda message: warnings.append(message.text))
    await page.add_init_script(COUNTED)
    await page.clock.install(time=0)
    await page.clock.pause_at(1000)
    wire = await visit(site, page, "<p>1</p>", "/room/")
    await page.evaluate(SWAP)
    await page.evaluate("history.pushState(null, '', '/elsewhere/')")
    leaving = asyncio.create_task(wire.gone())
    await wire.send("ping")
    assert await leaving == 1000
    await eventually(page, STATE, "stopped")
    await page.clock.run_for(1000)
    assert await page.evaluate(STATUS) == "This page no longer updates: reload it."
    (warning,) = warnings
    assert warning.startswith(
        "djust_presence: this page no longer updates: a script has taken all of its regions"
    )
    await page.clock.run_for(60_000)
    assert await page.evaluate(SOCKETS) == 1


async def test_a_page_without_a_connection_does_not_come_back_to_other_content(
    site: Site, page: Page
) -> None:
    wire = await paused(site, page)
    await wire.ready()
    await eventually(page, STATE, "live")
    await wire.close(1012)
    await eventually(page, STATE, "reconnecting")
    await page.evaluate(SWAP)
    await page.evaluate("history.pushState(null, '', '/elsewhere/')")
    await page.clock.run_for(5_000)
    await eventually(page, STATE, "stopped")
    assert await page.evaluate(SOCKETS) == 1


async def test_a_page_whose_regions_come_back_is_live_again(site: Site, page: Page) -> None:
    wire = await visit(site, page, "<p>1</p>", "/room/")
    await page.evaluate(
        """() => {
          window.kept = document.querySelector("live-region");
          window.kept.remove();
          history.pushState(null, "", "/elsewhere/");
          addEventListener("popstate", () => document.body.prepend(window.kept));
        }"""
    )
    leaving = asyncio.create_task(wire.gone())
    await wire.send("ping")
    assert await leaving == 1000
    await eventually(page, STATE, "stopped")
    await page.evaluate("history.back()")
    following = await site.wire()
    assert following.url == "/room/"
    await following.ready()
    await render(following, page, "<p>2</p>")
    await expect(page.locator("p")).to_have_text("2")
    await eventually(page, STATE, "live")
    assert await page.evaluate(STATUS) == ""


async def test_a_region_that_a_script_removes_on_the_page_itself_stops_nothing(
    site: Site, page: Page
) -> None:
    wire = await visit(site, page, "<p>1</p>", "/room/")
    await render(wire, page, "<p>2</p>")
    await page.evaluate(SWAP)
    await wire.render("<p>3</p>")
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}
    assert await page.evaluate(STATE) == "live"


@pytest.mark.parametrize("whole", [False, True])
async def test_another_page_in_its_place_is_left_alone_and_told_nothing(
    site: Site, page: Page, whole: bool
) -> None:
    warnings: list[str] = []
    page.on("console", lambda message: warnings.append(message.text))
    await page.add_init_script(COUNTED)
    await page.clock.install(time=0)
    await page.clock.pause_at(1000)
    site.body = "<p>0</p>" if whole else region("<p>0</p>")
    await page.goto(site.url + "/room/")
    wire = await site.wire()
    await wire.ready()
    await eventually(page, STATE, "live")
    await page.evaluate("document.body.innerHTML = '<p>plain</p>'; history.pushState(null, '', '/plain/')")
    leaving = asyncio.create_task(wire.gone())
    await wire.render("<p>of the other page</p>", "*" if whole else "live-1")
    assert await leaving == 1000
    await eventually(page, STATE, "stopped")
    await page.clock.run_for(2000)
    assert await page.locator("p").text_content() == "plain"
    assert await page.evaluate(STATUS) == ""
    assert warnings == []


async def test_text_typed_on_a_page_that_is_left_is_sent_first(site: Site, page: Page) -> None:
    wire = await visit(site, page, '<input name="text" dj-input="edit" dj-debounce="60000">')
    await page.locator("input").fill("a draft")
    await page.evaluate("document.body.innerHTML = '<p>plain</p>'; history.pushState(null, '', '/plain/')")
    await wire.send("ping")
    assert (await wire.read())["params"]["value"] == "a draft"
    assert await wire.gone() == 1000


async def test_a_boosted_navigation_replaces_the_address(site: Site, page: Page) -> None:
    site.static |= libraries()
    site.head = '<script src="/static/htmx-4.js" defer></script>'
    site.pages["/next/"] = region("<p>next</p>")
    wire = await visit(site, page, '<a href="/next/" hx-boost="true">next</a>', "/room/")
    await page.evaluate("history.replaceState(null, '', '/room')")
    await page.locator("a").click()
    following = await site.wire()
    assert following.url == "/next/"
    assert await wire.gone() == 1000
    await following.ready()
    await eventually(page, STATE, "live")
    await page.evaluate("history.pushState(null, '', '/elsewhere/')")
    assert (await again(site, following, page)).url == "/next/"


async def test_advice_that_a_part_of_the_page_brings_leaves_it_live(site: Site, page: Page) -> None:
    """As from an ordinary view, whose answer a script puts into the page."""
    wire = await visit(site, page, "<p>1</p>", "/room/")
    await page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.dataset.advice = "It is not live.";
          script.src = "/static/base.js";
          document.body.append(script);
          return new Promise((resolve) => (script.onload = resolve));
        }"""
    )
    await render(wire, page, "<p>2</p>")
    assert (await again(site, wire, page)).url == "/room/"
