"""The page script alone, in a real Chromium, against a socket that the test plays."""

from __future__ import annotations

import asyncio
import re
from itertools import permutations
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import NewPage, launch
from tests.browser.harness import (
    SOCKETS,
    STATE,
    Site,
    Wire,
    events,
    eventually,
    listen,
    paused,
    region,
    render,
    visit,
)
from tests.until import until

# --- The socket


async def test_the_socket_opens_at_the_pages_own_address(site: Site, page: Page) -> None:
    site.prefix = "/ws"
    await page.goto(site.url + "/document/42/?tab=1#part")
    wire = await site.wire()
    assert wire.url == "/ws/document/42/?tab=1"


async def test_states_and_notices(site: Site, page: Page, new_page: NewPage) -> None:
    await page.add_init_script(
        """
        window.recorded = [];
        for (const name of ["online", "offline"])
          document.addEventListener(`presence-client:${name}`, ({detail}) => recorded.push([name, detail]));
        """
    )
    await page.goto(site.url)
    wire = await site.wire()
    assert await page.evaluate(STATE) == "connecting"
    await wire.ready()
    await eventually(page, STATE, "live")
    await wire.close(1012)
    again = await site.wire()
    assert await page.evaluate(STATE) == "reconnecting"
    await again.ready()
    await eventually(page, STATE, "live")
    await again.close(4403)
    await eventually(page, STATE, "stopped")
    assert await events(page) == [
        ["online", {}],
        ["offline", {"code": 1012, "final": False}],
        ["online", {}],
        ["offline", {"code": 4403, "final": True}],
    ]


async def test_a_server_ping_is_answered(site: Site, page: Page) -> None:
    wire = await visit(site, page)
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}


async def test_unknown_frames_are_ignored(site: Site, page: Page) -> None:
    wire = await visit(site, page)
    for kind in ("cursors", "constructor", "__proto__"):
        await wire.send(kind)
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}


async def reconnects_after(site: Site, page: Page, milliseconds: int) -> Wire:
    """The next socket, which must come after exactly this delay."""
    before = await page.evaluate(SOCKETS)
    await page.clock.run_for(milliseconds - 1)
    assert await page.evaluate(SOCKETS) == before
    await page.clock.run_for(1)
    assert await page.evaluate(SOCKETS) == before + 1
    return await site.wire()


async def closed(wire: Wire, page: Page, code: int) -> None:
    """Make the page live, close its socket, and wait until it has noticed."""
    await wire.ready()
    await eventually(page, STATE, "live")
    await wire.close(code)
    await eventually(page, STATE, "reconnecting")


@pytest.mark.parametrize("code", [1000, 1006, 1012, 4000, 4499])
async def test_an_ordinary_close_is_retried_after_jitter_over_one_second(
    site: Site, page: Page, code: int
) -> None:
    wire = await paused(site, page)
    if code == 1006:
        await wire.ready()
        await eventually(page, STATE, "live")
        await site.stop()
        await site.start()
        await eventually(page, STATE, "reconnecting")
    else:
        await closed(wire, page, code)
    await reconnects_after(site, page, 500)


@pytest.mark.parametrize(
    ("code", "delays"),
    [
        (1012, [500, 1000, 2000, 2000, 2000]),
        (4500, [750, 1500, 3000, 6000, 12_000, 24_000, 45_000, 45_000]),
    ],
)
async def test_delays_grow_until_the_server_is_ready(
    site: Site, page: Page, code: int, delays: list[int]
) -> None:
    wire = await paused(site, page)
    for turn, delay in enumerate(delays, start=1):
        await wire.close(code)
        await eventually(page, "window.closes", turn)
        wire = await reconnects_after(site, page, delay)
    await closed(wire, page, code)
    await reconnects_after(site, page, delays[0])


@pytest.mark.parametrize("code", [4400, 4403, 4404, 4408])
async def test_a_refusal_is_final(site: Site, page: Page, code: int) -> None:
    wire = await paused(site, page)
    await wire.close(code)
    await eventually(page, STATE, "stopped")
    await page.clock.run_for(120_000)
    await page.evaluate("window.dispatchEvent(new Event('online'))")
    assert await page.evaluate(SOCKETS) == 1


async def test_a_lost_login_reloads_the_page_once(site: Site, page: Page) -> None:
    wire = await visit(site, page)
    await page.evaluate("window.same = true")
    await wire.close(4401)
    wire = await site.wire()
    assert await page.evaluate("window.same") is None
    await wire.close(4401)
    await eventually(page, STATE, "stopped")
    assert site.requests.count("GET /") == 2
    assert site.unclaimed_wires == 0


async def test_a_silent_server_is_dead(site: Site, page: Page) -> None:
    wire = await paused(site, page)
    await wire.ready(ping=10)
    await eventually(page, STATE, "live")
    await page.clock.run_for(24_000)
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}
    wire = await reconnects_after(site, page, 25_000)
    assert await page.evaluate(STATE) == "reconnecting"


@pytest.mark.parametrize(
    "event",
    [
        "document.dispatchEvent(new Event('visibilitychange'))",
        "document.dispatchEvent(new Event('resume'))",
        "window.dispatchEvent(new Event('online'))",
    ],
)
async def test_waking_up_probes_the_socket(site: Site, page: Page, event: str) -> None:
    wire = await paused(site, page)
    await wire.ready()
    await eventually(page, STATE, "live")
    await page.evaluate(event)
    assert await wire.read() == {"type": "ping"}
    await wire.send("pong")
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}
    await page.clock.run_for(5000)
    assert await page.evaluate(SOCKETS) == 1
    await page.evaluate(event)
    assert await wire.read() == {"type": "ping"}
    await reconnects_after(site, page, 4000)


async def test_waking_up_while_waiting_connects_at_once(site: Site, page: Page) -> None:
    wire = await paused(site, page)
    await closed(wire, page, 1012)
    await page.evaluate("window.dispatchEvent(new Event('online'))")
    assert await page.evaluate(SOCKETS) == 2
    await page.clock.run_for(5000)
    assert await page.evaluate(SOCKETS) == 2


async def test_a_connection_that_hangs_is_given_up(site: Site, page: Page, new_page: NewPage) -> None:
    new_page.allow("WebSocket is closed before the connection is established")
    wire = await paused(site, page)
    site.accepting.clear()
    await closed(wire, page, 1012)
    await page.clock.run_for(500)
    assert await page.evaluate(SOCKETS) == 2
    await page.clock.run_for(10_000)
    await page.clock.run_for(1000)
    assert await page.evaluate(SOCKETS) == 3
    site.accepting.set()


async def test_a_socket_in_which_nothing_is_heard_is_given_up_and_one_whose_view_takes_long_is_not(
    site: Site, page: Page
) -> None:
    wire = await paused(site, page)
    await eventually(page, "window.opens", 1)
    await page.clock.run_for(6000)
    assert await wire.read() == {"type": "ping"}
    await wire.send("pong")
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}
    await page.clock.run_for(30_000)
    assert await page.evaluate(SOCKETS) == 1
    await closed(wire, page, 1012)
    await page.clock.run_for(500)
    silent = await site.wire()
    await eventually(page, "window.opens", 2)
    await page.clock.run_for(6000)
    assert await silent.read() == {"type": "ping"}
    await page.clock.run_for(4000)
    await page.clock.run_for(1000)
    assert await page.evaluate(SOCKETS) == 3


async def test_a_restarted_server_gets_its_pages_back_with_what_was_typed(
    site: Site, page: Page, new_page: NewPage
) -> None:
    new_page.allow("ERR_CONNECTION_REFUSED")
    await visit(site, page, '<input name="draft"><p>1</p>')
    await page.locator("input").press_sequentially("not sent yet")
    await site.stop()
    await eventually(page, STATE, "reconnecting")
    await site.start()
    wire = await site.wire()
    await wire.ready()
    await render(wire, page, '<input name="draft"><p>2</p>')
    assert await page.locator("input").input_value() == "not sent yet"
    assert await page.locator("p").text_content() == "2"


async def test_the_back_forward_cache_keeps_the_page_and_one_connection(site: Site, browser: Browser) -> None:
    chromium = await launch(
        browser.browser_type, whole=True, ignore_default_args=["--disable-back-forward-cache"]
    )
    pages = NewPage(chromium)
    page = await pages()
    wire = await visit(site, page, '<input name="draft">')
    await page.locator("input").press_sequentially("kept")
    await page.evaluate(
        "window.addEventListener('pageshow', ({persisted}) => document.body.dataset.persisted = persisted)"
    )
    leaving = asyncio.create_task(wire.gone())
    site.plain["/plain"] = "<p>plain</p>"
    await page.goto(site.url + "/plain")
    assert await leaving == 1000
    await page.go_back(wait_until="commit")
    wire = await site.wire()
    await wire.ready()
    await eventually(page, STATE, "live")
    assert await page.evaluate("document.body.dataset.persisted") == "true"
    assert await page.locator("input").input_value() == "kept"
    assert site.unclaimed_wires == 0
    assert not pages.unexpected
    await chromium.close()


async def test_leaving_the_page_closes_its_socket(site: Site, page: Page) -> None:
    wire = await visit(site, page)
    leaving = asyncio.create_task(wire.gone())
    await page.goto("about:blank")
    assert await leaving in (1000, 1001)


async def test_the_script_may_be_included_twice(site: Site, page: Page) -> None:
    site.script += site.script
    wire = await visit(site, page, '<button dj-click="go">Go</button>')
    await page.locator("button").click()
    assert (await wire.read())["name"] == "go"
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}
    assert site.unclaimed_wires == 0


@pytest.mark.parametrize("order", list(permutations(["base", "forms", "presence"])), ids="-".join)
async def test_the_parts_of_the_script_may_come_in_any_order(
    site: Site, page: Page, order: tuple[str, ...]
) -> None:
    """As where a script brings them."""
    scripts = re.findall(r"<script .*?</script>", site.script)
    tags = {name: next(tag for tag in scripts if f"/{name}.js" in tag) for name in ("patch", *order)}
    site.script = "".join(tags[name] for name in ("patch", *order))
    wire = await visit(site, page, '<button dj-click="go">Go</button>')
    await page.locator("button").click()
    assert (await wire.read())["name"] == "go"
    await render(wire, page, "<p>1</p>")
    assert site.unclaimed_wires == 0


async def test_a_page_without_a_live_view_opens_no_socket(site: Site, page: Page) -> None:
    site.script = site.script.replace(' data-socket-prefix="{prefix}"', "")
    await page.goto(site.url)
    await page.wait_for_load_state("load")
    assert await page.evaluate(STATE) is None
    assert "GET /static/htmx-4.js" not in site.requests
    assert site.unclaimed_wires == 0


# --- Events


@pytest.mark.parametrize(
    ("attributes", "name", "params"),
    [
        ('dj-click="go"', "go", {}),
        ('dj-click=" go() "', "go", {}),
        ('dj-click="go" data-item-id="3"', "go", {"_data": {"item_id": "3"}}),
        (
            'dj-click="go" dj-value-item-id="4" data-item-id="3"',
            "go",
            {"item_id": "4", "_data": {"item_id": "3"}},
        ),
        ('dj-click="go" dj-value-n:int="3" dj-value-on:boolean="true"', "go", {"n": 3, "on": True}),
        ('dj-click="go" dj-value-n:int="x" dj-value-f:float="1.5"', "go", {"n": None, "f": 1.5}),
        ("dj-click='go' dj-value-l:list='a, b' dj-value-j:json='[1]'", "go", {"l": ["a", "b"], "j": [1]}),
        ('dj-click="go" dj-value-j:json="{oops"', "go", {"j": "{oops"}),
        ('dj-click="go" data-dj-n:int="3" data-on="true"', "go", {"_data": {"n": 3, "on": "true"}}),
        ("dj-click=\"go(3, 'x')\"", "go", {"_args": [3, "x"]}),
        ("dj-click=\"go('a, b', '', 'it\\'s', -1.5)\"", "go", {"_args": ["a, b", "", "it's", -1.5]}),
        ('dj-click="go(true, false, null, bare)"', "go", {"_args": [True, False, None, "bare"]}),
        ('dj-click="go(9007199254740993)"', "go", {"_args": ["9007199254740993"]}),
        ('dj-click="go(1)" data-item="2"', "go", {"_data": {"item": "2"}, "_args": [1]}),
        ('dj-click="go" data-presence-color="red" data-hx-get="/x"', "go", {}),
    ],
)
async def test_a_click_sends_its_handler_and_values(
    site: Site, page: Page, attributes: str, name: str, params: dict[str, Any]
) -> None:
    wire = await visit(site, page, f"<button {attributes}>Go</button>")
    await page.locator("button").click()
    assert await wire.read() == {"type": "event", "ref": 1, "name": name, "params": params}


async def test_only_the_nearest_handler_runs_and_links_do_not_navigate(site: Site, page: Page) -> None:
    wire = await visit(
        site, page, '<div dj-click="outer"><a href="/away" dj-click="inner"><b>Go</b></a></div>'
    )
    await page.locator("b").click()
    await page.locator("b").click()
    assert [(await wire.read())["name"], (await wire.read())["ref"]] == ["inner", 2]
    assert page.url == site.url + "/"


async def test_a_disabled_button_sends_nothing(site: Site, page: Page) -> None:
    wire = await visit(
        site,
        page,
        '<button disabled dj-click="no"><b>No</b></button><button id="yes" dj-click="yes">Yes</button>',
    )
    # A click on what is inside a disabled button is a matter in which browsers differ.
    await page.locator("b").dispatch_event("click")
    await page.locator("#yes").click()
    assert (await wire.read())["name"] == "yes"


async def test_an_answered_event_loses_its_mark_and_renders_do_not_take_it(site: Site, page: Page) -> None:
    html = '<button dj-click="go">Go</button><p>{}</p>'
    wire = await visit(site, page, html.format(0))
    button = page.locator("button")
    await button.click()
    await button.click()
    await expect(button).to_have_attribute("data-presence-pending", "")
    await render(wire, page, html.format(1))
    await wire.send("ack", ref=1)
    await render(wire, page, html.format(2))
    assert await button.get_attribute("data-presence-pending") == ""
    await wire.send("ack", ref=2)
    await render(wire, page, html.format(3))
    assert await button.get_attribute("data-presence-pending") is None


async def test_an_error_is_told_to_the_element(site: Site, page: Page) -> None:
    wire = await visit(site, page, '<button dj-click="go">Go</button>')
    await listen(page, "presence-client:refused")
    await page.evaluate(
        "window.addEventListener('presence-client:refused', (e) => window.source = e.target.tagName)"
    )
    await page.locator("button").click()
    await wire.send("error", ref=1, code="bad-arguments", message="There is no n.")
    await eventually(page, "window.source", "BUTTON")
    await wire.send("error", code="bad-frame", message="What?")
    await eventually(page, "window.recorded.length", 2)
    assert await events(page) == [
        [
            "presence-client:refused",
            {"ref": 1, "name": "go", "code": "bad-arguments", "message": "There is no n."},
        ],
        ["presence-client:refused", {"code": "bad-frame", "message": "What?"}],
    ]
    assert await page.locator("button").get_attribute("data-presence-pending") is None


async def test_a_click_while_offline_is_refused(site: Site, page: Page) -> None:
    site.body = region('<a href="/away" dj-click="go" dj-value-n="1">Go</a>')
    await page.goto(site.url)
    wire = await site.wire()
    await listen(page, "presence-client:unsent")
    await page.locator("a").click()
    assert await events(page) == [["presence-client:unsent", {"name": "go", "params": {"n": "1"}}]]
    await wire.ready()
    await eventually(page, STATE, "live")
    await page.locator("a").click()
    assert (await wire.read())["ref"] == 1


async def test_an_unanswered_event_is_refused_when_the_connection_is_lost(site: Site, page: Page) -> None:
    wire = await visit(site, page, '<button dj-click="go">Go</button>')
    await listen(page, "presence-client:refused")
    await page.locator("button").click()
    await wire.read()
    await wire.close(1012)
    await eventually(page, "window.recorded.length", 1)
    assert (await events(page))[0][1]["code"] == "lost"
    assert await page.locator("button").get_attribute("data-presence-pending") is None


async def test_pushes_and_broadcasts_become_events(site: Site, page: Page) -> None:
    wire = await visit(site, page)
    await listen(page, "djust:push_event", "presence:saved")
    await page.evaluate("document.addEventListener('presence:saved', () => window.onDocument = true)")
    await wire.send("push", event="flash", payload={"message": "Bob joined"})
    await wire.send("event", event="saved", payload={"by": "Bob"})
    await eventually(page, "window.recorded.length", 2)
    assert await page.evaluate("window.onDocument")
    assert await events(page) == [
        ["djust:push_event", {"event": "flash", "payload": {"message": "Bob joined"}}],
        ["presence:saved", {"by": "Bob"}],
    ]


# --- The fixtures themselves


async def test_a_violated_policy_is_noticed(site: Site, browser: Browser) -> None:
    pages = NewPage(browser)
    page = await pages()
    await visit(site, page, '<p style="color: red">x</p>')
    await page.evaluate("setTimeout(() => { throw new Error('thrown') })")
    await until(lambda: len(pages.unexpected) == 2)
    await pages.close()
    assert "Content Security Policy" in pages.unexpected[0]
    assert "thrown" in pages.unexpected[1]
