"""The page script alone, in a real Chromium, against a socket that the test plays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import NewPage, launch
from tests.browser.harness import Site, Wire, events, eventually, listen, turns

STATE = "document.documentElement.dataset.presenceState"
SOCKETS = "window.sockets"

# Counts the sockets that a page opens and loses, and takes the chance out of its delays.
COUNTED = """
window.sockets = window.closes = 0;
window.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    window.sockets += 1;
    this.addEventListener("close", () => window.closes += 1);
  }
};
Math.random = () => 0.5;
"""


def region(html: str) -> str:
    return f'<live-region id="live-1">{html}</live-region>'


async def visit(site: Site, page: Page, html: str = "", path: str = "/") -> Wire:
    """Open a page with this content in its region, and make it live."""
    site.body = region(html)
    await page.goto(site.url + path, wait_until="domcontentloaded")
    wire = await site.wire()
    await wire.ready()
    await eventually(page, STATE, "live")
    return wire


async def render(wire: Wire, page: Page, html: str) -> None:
    """Render the region and wait until the page shows it."""
    count = await page.evaluate("window.renders ??= 0")
    if count == 0:
        await page.evaluate("document.addEventListener('presence-client:render', () => window.renders++)")
    await wire.render(html)
    await eventually(page, "window.renders", count + 1)


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


async def paused(site: Site, page: Page) -> Wire:
    """A page whose timers run only when the test says so."""
    await page.add_init_script(COUNTED)
    await page.clock.install(time=0)
    await page.clock.pause_at(1000)
    await page.goto(site.url)
    assert await page.evaluate(SOCKETS) == 1
    return await site.wire()


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
    chromium = await launch(browser.browser_type, ignore_default_args=["--disable-back-forward-cache"])
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


async def test_a_page_without_a_live_view_opens_no_socket(site: Site, page: Page) -> None:
    site.script = '<script src="/static/presence.js" defer></script>'
    await page.goto(site.url)
    await page.wait_for_load_state("load")
    assert await page.evaluate(STATE) is None
    assert "GET /static/htmx-4.min.js" not in site.requests
    assert site.unclaimed_wires == 0


# --- Events


@pytest.mark.parametrize(
    ("attributes", "name", "params"),
    [
        ('dj-click="go"', "go", {}),
        ('dj-click=" go() "', "go", {}),
        ('dj-click="go" data-item-id="3"', "go", {"item_id": "3"}),
        ('dj-click="go" dj-value-item-id="4" data-item-id="3"', "go", {"item_id": "4"}),
        ('dj-click="go" data-n:int="3" dj-value-on:bool="true"', "go", {"n": 3, "on": True}),
        ('dj-click="go" data-n:int="x" data-f:float="1.5"', "go", {"n": None, "f": 1.5}),
        ("dj-click='go' data-l:list='a, b' data-j:json='[1]'", "go", {"l": ["a", "b"], "j": [1]}),
        ("dj-click=\"go(3, 'x')\"", "go", {"_args": [3, "x"]}),
        ("dj-click=\"go('a, b', '', 'it\\'s', -1.5)\"", "go", {"_args": ["a, b", "", "it's", -1.5]}),
        ('dj-click="go(true, false, null, bare)"', "go", {"_args": [True, False, None, "bare"]}),
        ('dj-click="go(9007199254740993)"', "go", {"_args": ["9007199254740993"]}),
        ('dj-click="go(1)" data-item="2"', "go", {"item": "2", "_args": [1]}),
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
    site.body = region('<a href="/away" dj-click="go" data-n="1">Go</a>')
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


# --- Patching: what a person did survives


@pytest.mark.parametrize("field", ['<input name="f" value="{}">', '<textarea name="f">{}</textarea>'])
async def test_an_untouched_field_follows_and_a_typed_one_is_kept(site: Site, page: Page, field: str) -> None:
    wire = await visit(site, page, field.format("a"))
    box = page.locator("[name=f]")
    await render(wire, page, field.format("b"))
    assert await box.input_value() == "b"
    await box.press("End")
    await box.press_sequentially("!")
    await render(wire, page, field.format("c"))
    assert await box.input_value() == "b!"
    assert await box.evaluate("field => field.defaultValue") == "c"
    await box.fill("c")
    await render(wire, page, field.format("d"))
    assert await box.input_value() == "d"


@pytest.mark.parametrize("field", ['<input name="f" value="{}">', '<textarea name="f">{}</textarea>'])
async def test_a_late_echo_does_not_take_back_what_was_typed_since(
    site: Site, page: Page, field: str
) -> None:
    wire = await visit(site, page, field.format(""))
    box = page.locator("[name=f]")
    await box.press_sequentially("hello")
    await box.press("ArrowLeft")
    await render(wire, page, field.format("hel"))
    assert await box.input_value() == "hello"
    assert await box.evaluate("field => field.selectionStart") == 4
    await render(wire, page, field.format("hello"))
    await render(wire, page, field.format("hello, all"))
    assert await box.input_value() == "hello, all"
    assert await box.evaluate("field => field.selectionStart") == 4


async def test_undo_still_works_after_a_patch(site: Site, page: Page) -> None:
    wire = await visit(site, page, '<input name="f"><p>1</p>')
    box = page.locator("input")
    await box.press_sequentially("hello")
    await render(wire, page, '<input name="f" value="hel"><p>2</p>')
    await box.press("Control+z")
    assert await box.input_value() != "hello"


@pytest.mark.parametrize(
    "changed", ['<input name="g" value="server">', '<input name="f" dj-force-value value="server">']
)
async def test_a_renamed_or_forced_field_takes_the_servers_value(
    site: Site, page: Page, changed: str
) -> None:
    wire = await visit(site, page, '<input name="f">')
    await page.locator("input").press_sequentially("typed")
    await render(wire, page, changed)
    assert await page.locator("input").input_value() == "server"


async def test_a_forced_field_is_emptied_by_each_render_of_its_region(site: Site, page: Page) -> None:
    html = '<div><input name="f" dj-force-value><input type="checkbox" dj-force-value></div><p>{}</p>'
    wire = await visit(site, page, html.format(1))
    await page.locator("[name=f]").press_sequentially("typed")
    await page.locator("[type=checkbox]").check()
    await render(wire, page, html.format(2))
    assert await page.locator("[name=f]").input_value() == ""
    assert not await page.locator("[type=checkbox]").is_checked()


@pytest.mark.parametrize(
    ("kind", "values", "shown"),
    [
        ("range", ["10", "150", "20"], ["10", "100", "20"]),
        ("color", ["#AA0000", "#00BB00", "#0000CC"], ["#aa0000", "#00bb00", "#0000cc"]),
        ("number", ["1", "many", "2"], ["1", "", "2"]),
        ("hidden", ["a", "b", "c"], ["a", "b", "c"]),
    ],
)
async def test_fields_whose_value_browsers_tidy_up_count_as_untouched(
    site: Site, page: Page, kind: str, values: list[str], shown: list[str]
) -> None:
    wire = await visit(site, page, f'<input type="{kind}">')
    for value, expected in zip(values, shown, strict=True):
        await render(wire, page, f'<input type="{kind}" value="{value}">')
        assert await page.evaluate("document.querySelector('input').value") == expected


async def test_a_password_that_is_made_visible_is_kept(site: Site, page: Page) -> None:
    wire = await visit(site, page, '<input name="f" type="password">')
    await page.locator("input").fill("secret")
    await render(wire, page, '<input name="f" type="text">')
    assert await page.locator("input").get_attribute("type") == "text"
    assert await page.locator("input").input_value() == "secret"


async def test_a_checkbox_keeps_a_click_and_then_follows(site: Site, page: Page) -> None:
    off, on = '<input type="checkbox"><p>{}</p>', '<input type="checkbox" checked><p>{}</p>'
    wire = await visit(site, page, off.format(0))
    box = page.locator("input")
    await box.check()
    await render(wire, page, off.format(1))
    assert await box.is_checked()
    await render(wire, page, on.format(2))
    assert await box.is_checked()
    await render(wire, page, off.format(3))
    assert not await box.is_checked()


@pytest.mark.parametrize("choice", ["a", "c"])
async def test_radio_buttons_keep_a_choice_and_then_follow(site: Site, page: Page, choice: str) -> None:
    def radios(default: str) -> str:
        return "".join(
            f'<input type="radio" name="r" value="{value}"{" checked" if value == default else ""}>'
            for value in "abcd"
        )

    chosen = "document.querySelector('input:checked').value"
    wire = await visit(site, page, radios("d"))
    await render(wire, page, radios("b"))
    assert await page.evaluate(chosen) == "b"
    await page.locator(f"[value={choice}]").check()
    await render(wire, page, radios("d"))
    assert await page.evaluate(chosen) == choice
    await render(wire, page, radios(choice))
    await render(wire, page, radios("b"))
    assert await page.evaluate(chosen) == "b"


async def test_a_select_keeps_a_choice_while_there_is_one_and_then_follows(site: Site, page: Page) -> None:
    def select(*values: str, default: str = "") -> str:
        options = "".join(f"<option{' selected' if value == default else ''}>{value}" for value in values)
        return f'<select name="s">{options}</select>'

    wire = await visit(site, page, select("a", "b", "c"))
    box = page.locator("select")
    await render(wire, page, select("a", "b", "c", default="b"))
    assert await box.input_value() == "b"
    await box.select_option("c")
    await render(wire, page, select("new", "a", "b", "c", default="b"))
    assert await box.input_value() == "c"
    await render(wire, page, select("new", "a", "b", default="a"))
    assert await box.input_value() == "a"
    await render(wire, page, select("new", "a", "b"))
    assert await box.input_value() == "new"


async def test_a_select_keeps_a_choice_whose_options_are_renamed(site: Site, page: Page) -> None:
    wire = await visit(site, page, "<select><option value=a>a (1)<option value=b>b (1)</select>")
    await page.locator("select").select_option("b")
    await render(
        wire, page, "<select><option value=n>n (0)<option value=a>a (2)<option value=b>b (2)</select>"
    )
    assert await page.locator("select").input_value() == "b"


async def test_a_multiple_select_keeps_its_choices(site: Site, page: Page) -> None:
    html = "<select multiple><option{}>a<option>b<option>c</select>"
    wire = await visit(site, page, html.format(" selected"))
    await page.locator("select").select_option(["b", "c"])
    await render(wire, page, html.format(""))
    assert await page.evaluate(
        "[...document.querySelector('select').selectedOptions].map((o) => o.text)"
    ) == [
        "b",
        "c",
    ]


async def test_what_a_person_opened_stays_open(site: Site, page: Page) -> None:
    html = (
        "<details id=d1><summary>one</summary>{0}</details><details id=d2 open><summary>two</summary>{0}</details>"
        "<dialog>{0}</dialog>"
    )
    wire = await visit(site, page, html.format(1))
    await page.locator("#d1 summary").click()
    await page.locator("#d2 summary").click()
    await page.evaluate("document.querySelector('dialog').showModal()")
    await render(wire, page, html.format(2))
    assert await page.evaluate("document.querySelector('#d1').open")
    assert not await page.evaluate("document.querySelector('#d2').open")
    assert await page.evaluate("document.querySelector('dialog').matches(':modal')")
    assert await page.locator("dialog").text_content() == "2"


async def test_a_focused_contenteditable_is_left_alone(site: Site, page: Page) -> None:
    html = '<div contenteditable id="e">{0}</div><p>{0}</p>'
    wire = await visit(site, page, html.format("a"))
    await render(wire, page, html.format("b"))
    editable = page.locator("#e")
    assert await editable.text_content() == "b"
    await editable.press("End")
    await editable.press_sequentially("!")
    await render(wire, page, html.format("c"))
    assert await editable.text_content() == "b!"
    assert await page.locator("p").text_content() == "c"


async def test_an_ignored_element_is_left_alone(site: Site, page: Page) -> None:
    html = '<div dj-update="ignore" id="own" class="{0}">{0}<input dj-force-value></div><p>{0}</p>'
    wire = await visit(site, page, html.format(1))
    await page.evaluate("document.querySelector('#own').append('mine')")
    await page.locator("input").fill("typed")
    await render(wire, page, html.format(2))
    assert await page.locator("#own").text_content() == "1mine"
    assert await page.locator("#own").get_attribute("class") == "1"
    assert await page.locator("input").input_value() == "typed"
    assert await page.locator("p").text_content() == "2"


@pytest.mark.parametrize(
    ("field", "after"),
    [
        ('<input name="f" value="{}">', "日本"),
        ('<textarea name="f">{}</textarea>', "日本"),
        ('<input name="f" dj-force-value value="{}">', "n"),
    ],
)
async def test_an_ime_composition_is_not_disturbed(site: Site, page: Page, field: str, after: str) -> None:
    wire = await visit(site, page, field.format("") + "<p>1</p>")
    await page.evaluate(
        """
        window.compositions = [];
        for (const type of ["compositionstart", "compositionend"])
          document.addEventListener(type, () => window.compositions.push(type));
        """
    )
    box = page.locator("[name=f]")
    await box.focus()
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("Input.imeSetComposition", {"text": "に", "selectionStart": 1, "selectionEnd": 1})
    await render(wire, page, field.format("n") + "<p>2</p>")
    assert await page.locator("p").text_content() == "2"
    await cdp.send("Input.imeSetComposition", {"text": "にほ", "selectionStart": 2, "selectionEnd": 2})
    assert await box.input_value() == "にほ"
    assert await page.evaluate("window.compositions") == ["compositionstart"]
    await cdp.send("Input.insertText", {"text": "日本"})
    # What the field missed meanwhile comes when the composition is over.
    await eventually(page, "document.querySelector('[name=f]').defaultValue", "n")
    assert await box.input_value() == after


@pytest.mark.parametrize("moves", ["moveBefore", "insertBefore"])
async def test_focus_and_caret_survive_a_move(site: Site, page: Page, moves: str) -> None:
    if moves == "insertBefore":
        await page.add_init_script("delete Element.prototype.moveBefore")
    row = '<li id="r{0}"><input id="i{0}"></li>'
    wire = await visit(site, page, "<ul>" + "".join(row.format(n) for n in range(4)) + "</ul>")
    box = page.locator("#i3")
    await box.press_sequentially("hello")
    await box.press("ArrowLeft")
    await box.press("Shift+ArrowLeft")
    await render(wire, page, "<ul>" + "".join(row.format(n) for n in (3, 1, 0, 2)) + "</ul>")
    assert await page.evaluate("document.activeElement.id") == "i3"
    assert await box.input_value() == "hello"
    assert await box.evaluate("field => [field.selectionStart, field.selectionEnd]") == [3, 4]
    assert (
        await page.evaluate("[...document.querySelectorAll('li')].map((li) => li.id).join()") == "r3,r1,r0,r2"
    )


async def test_scroll_and_selection_survive(site: Site, page: Page) -> None:
    html = '<p id="head">{}</p><p id="long" style-free>Selected text</p>' + "<p>line</p>" * 200
    wire = await visit(site, page, html.format(1))
    await page.evaluate(
        "scrollTo(0, 500); getSelection().selectAllChildren(document.querySelector('#long'))",
    )
    await render(wire, page, html.format(2))
    assert await page.evaluate("[scrollY, getSelection().toString()]") == [500, "Selected text"]


async def test_several_regions_are_patched_and_unknown_ones_ignored(site: Site, page: Page) -> None:
    wire = await visit(site, page, "<b>1</b>")
    site.body = region("<b>1</b>") + '<live-region id="live-2"><i>1</i></live-region>'
    leaving = asyncio.create_task(wire.gone())
    await page.reload()
    await leaving
    wire = await site.wire()
    await wire.ready()
    await listen(page, "presence-client:render")
    await wire.send("render", regions={"live-1": "<b>2</b>", "live-2": "<i>2</i>", "live-3": "<u>2</u>"})
    await expect(page.locator("i")).to_have_text("2")
    await expect(page.locator("b")).to_have_text("2")
    assert (await events(page))[0][1] == {"regions": ["live-1", "live-2", "live-3"]}


async def test_the_whole_page_is_patched_with_its_title(site: Site, page: Page) -> None:
    site.body = '<h1>1</h1><input name="f"><noscript><img src="/pixel"></noscript>'
    await page.goto(site.url)
    wire = await site.wire()
    await wire.ready()
    await page.locator("input").fill("typed")
    document = (
        "<!doctype html><html><head><title>Two &amp; more</title></head>"
        '<body><h1>2</h1><input name="f"><noscript><img src="/pixel"></noscript>'
        "<script>window.ran = true</script></body></html>"
    )
    await wire.render(document, "*")
    await expect(page.locator("h1")).to_have_text("2")
    assert await page.title() == "Two & more"
    assert await page.locator("input").input_value() == "typed"
    assert await page.evaluate("window.ran") is None
    await wire.render("<h1>3</h1><p>a bare fragment</p>", "*")
    await expect(page.locator("h1")).to_have_text("3")
    assert await page.title() == "Two & more"
    assert "GET /pixel" not in site.requests


async def test_scripts_in_a_region_do_not_run(site: Site, page: Page) -> None:
    wire = await visit(site, page)
    await render(
        wire, page, '<script src="/static/presence.js?again"></script><script>window.ran = 1</script><p>1</p>'
    )
    assert await page.evaluate("window.ran") is None


async def test_a_render_before_the_engine_waits_and_the_latest_wins(site: Site, page: Page) -> None:
    site.engine_gate.clear()
    wire = await visit(site, page, "<p>0</p>")
    await page.evaluate(
        """
        window.seen = [];
        new MutationObserver(() => window.seen.push(document.querySelector("p").textContent))
          .observe(document.querySelector("live-region"), {subtree: true, childList: true, characterData: true});
        """
    )
    await wire.render("<p>1</p>")
    await wire.render("<p>2</p>")
    await wire.send("ping")
    await wire.read()
    assert await page.locator("p").text_content() == "0"
    site.engine_gate.set()
    await expect(page.locator("p")).to_have_text("2")
    assert await page.evaluate("window.seen") == ["2"]


async def test_an_engine_that_does_not_load_is_tried_again(site: Site, page: Page, new_page: NewPage) -> None:
    new_page.allow("404")
    site.engine = "/static/not-yet"
    wire = await paused(site, page)
    await wire.ready()
    await wire.render("<p>1</p>")
    await eventually(page, STATE, "live")
    await eventually(page, "document.querySelector('[src*=not-yet]')", None)
    site.static["not-yet"] = site.static["htmx-4.min.js"]
    await page.clock.run_for(5000)
    await expect(page.locator("p")).to_have_text("1")
    assert await page.evaluate("'htmx' in window") is False


async def test_a_region_takes_part_in_its_parents_layout(site: Site, page: Page) -> None:
    await visit(site, page)
    assert (
        await page.evaluate("getComputedStyle(document.querySelector('live-region')).display") == "contents"
    )


async def test_colours_pass_a_strict_policy(site: Site, page: Page) -> None:
    html = '<b data-presence-color="{}">x</b><i>{}</i>'
    color = "document.querySelector('b').style.getPropertyValue('--presence-color')"
    wire = await visit(site, page, html.format("#e74c3c", 1))
    assert await page.evaluate(color) == "#e74c3c"
    await render(wire, page, html.format("#e74c3c", 2))
    assert await page.evaluate(color) == "#e74c3c"
    await render(wire, page, html.format("rebeccapurple", 2))
    assert await page.evaluate(color) == "rebeccapurple"
    await render(wire, page, html.format("url(/track)", 3))
    assert await page.evaluate(color) == ""


async def test_a_nonce_is_passed_on_to_the_engine(site: Site, page: Page) -> None:
    site.policy = "default-src 'self'; script-src 'nonce-abc'"
    site.script = site.script.replace("<script ", '<script nonce="abc" ')
    wire = await visit(site, page)
    await render(wire, page, "<p>1</p>")


# --- Beside a page's own htmx


HTMX_PAGE = '<button id="old" hx-get="/hit" hx-target="#out">old</button><p id="out"></p>'


@pytest.mark.parametrize("version", [2, 4])
@pytest.mark.parametrize("loading", ["before", "meanwhile"])
async def test_a_pages_own_htmx_works_as_before(site: Site, page: Page, version: int, loading: str) -> None:
    site.plain["/hit"] = "hit"
    # htmx 2 puts its indicator style into the page, which no strict policy allows.
    site.head = """<meta name="htmx-config" content='{"includeIndicatorStyles": false}'>"""
    tag = f'<script src="/static/htmx-{version}.min.js" defer></script>'
    if loading == "before":
        site.head += tag
    else:
        site.engine_gate.clear()
    site.engine += "?engine"
    wire = await visit(site, page, HTMX_PAGE)
    if loading == "meanwhile":
        await page.add_script_tag(url=f"/static/htmx-{version}.min.js")
        await page.evaluate("htmx.process(document.body)")
        site.engine_gate.set()
    await page.evaluate("window.own = htmx")
    await render(wire, page, HTMX_PAGE + '<button id="new" hx-get="/hit" hx-target="#out">new</button>')
    assert (await page.evaluate("htmx.version")).startswith(str(version))
    assert await page.evaluate("window.own === htmx")
    for turn, button in enumerate(["#old", "#new", "#old"]):
        async with page.expect_response("**/hit"):
            await page.locator(button).click()
        assert site.requests.count("GET /hit") == turn + 1
    # Ours, and the indicator style of the page's own version 4.
    assert await page.evaluate("document.adoptedStyleSheets.length") == {2: 1, 4: 2}[version]


async def test_the_engine_leaves_no_trace(site: Site, page: Page) -> None:
    wire = await visit(site, page, '<button hx-get="/hit">x</button>')
    await render(wire, page, '<button hx-get="/hit">y</button>')
    await page.locator("button").click()
    await page.evaluate("new Promise((resolve) => setTimeout(resolve))")
    assert await page.evaluate("['htmx' in window, history.state, document.adoptedStyleSheets.length]") == [
        False,
        None,
        1,
    ]
    assert await page.evaluate("document.querySelectorAll('[data-htmx-powered]').length") == 0
    assert "GET /hit" not in site.requests


async def test_a_list_of_approved_extensions_is_for_the_pages_own_htmx(site: Site, page: Page) -> None:
    site.head = (
        '<meta name="htmx-config" content="extensions:ws"><script src="/static/htmx-4.min.js" defer></script>'
    )
    wire = await visit(site, page)
    await render(wire, page, "<p>1</p>")
    assert await page.evaluate("document.querySelector('meta[name=htmx-config]').content") == "extensions:ws"
    assert await page.evaluate("htmx.config.extensions") == "ws"


async def test_a_boosted_navigation_brings_the_next_pages_socket(site: Site, page: Page) -> None:
    site.head = '<script src="/static/htmx-4.min.js" defer></script>'
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


async def test_a_boosted_navigation_to_a_plain_page_is_not_overwritten(site: Site, page: Page) -> None:
    site.head = '<script src="/static/htmx-4.min.js" defer></script>'
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


# --- The fixtures themselves


async def test_a_violated_policy_is_noticed(site: Site, browser: Browser) -> None:
    pages = NewPage(browser)
    page = await pages()
    await visit(site, page, '<p style="color: red">x</p>')
    await page.evaluate("setTimeout(() => { throw new Error('thrown') })")
    async for _ in turns():
        if len(pages.unexpected) == 2:
            break
    await pages.close()
    assert "Content Security Policy" in pages.unexpected[0]
    assert "thrown" in pages.unexpected[1]
