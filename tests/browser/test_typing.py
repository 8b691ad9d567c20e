"""Fields while somebody types and chooses: what they send, and when."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import FilePayload, Page

from tests.browser.harness import STATE, Site, Wire, events, eventually, listen, paused, region, render, visit


async def says_nothing_yet(wire: Wire) -> None:
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}


async def still(site: Site, page: Page, html: str) -> Wire:
    """A live page whose timers run only when the test says so."""
    site.body = region(html)
    wire = await paused(site, page)
    await wire.ready()
    await eventually(page, STATE, "live")
    return wire


FIELDS = [
    ('<input id="f" {}>', {"value": "x", "field": "f", "_target": "f"}),
    ('<input id="id_f" {}>', {"value": "x", "field": "f", "_target": "id_f"}),
    ('<input id="f" name="n" {}>', {"value": "x", "field": "n", "_target": "n"}),
    ('<input id="f" name="n" data-field="d" {}>', {"value": "x", "field": "d", "_target": "n"}),
    ("<textarea {}></textarea>", {"value": "x", "field": None, "_target": None}),
    (
        '<input name="n" dj-value-item-id:int="3" data-other="y" {}>',
        {"value": "x", "field": "n", "_target": "n", "item_id": 3},
    ),
]
CHOICES = [
    ('<input type="checkbox" name="n" value="v" {}>', {"value": True, "field": "n", "_target": "n"}),
    ('<input type="radio" name="n" value="v" {}>', {"value": "v", "field": "n", "_target": "n"}),
    ('<select name="n" {}><option>a<option>b</select>', {"value": "b", "field": "n", "_target": "n"}),
    (
        '<select multiple name="n" {}><option selected>a<option>b<option>c</select>',
        {"value": ["b", "c"], "field": "n", "_target": "n"},
    ),
]


@pytest.mark.parametrize(("html", "params"), FIELDS)
@pytest.mark.parametrize("attribute", ["dj-input", "dj-change"])
async def test_a_text_field_says_its_value_and_its_name(
    site: Site, page: Page, html: str, params: dict[str, Any], attribute: str
) -> None:
    wire = await visit(site, page, html.format(f'{attribute}="said"'))
    field = page.locator("input, textarea")
    await field.press_sequentially("x")
    await field.blur()
    assert await wire.read() == {"type": "event", "ref": 1, "name": "said", "params": params}


@pytest.mark.parametrize(("html", "params"), CHOICES)
@pytest.mark.parametrize("attribute", ["dj-input", "dj-change"])
async def test_a_choice_is_said_at_once(
    site: Site, page: Page, html: str, params: dict[str, Any], attribute: str
) -> None:
    wire = await still(site, page, html.format(f'{attribute}="said"'))
    select = page.locator("select")
    if await select.count():
        await select.select_option(params["value"])
    else:
        await page.locator("input").check()
    assert await wire.read() == {"type": "event", "ref": 1, "name": "said", "params": params}


async def test_a_box_that_is_unchecked_says_false(site: Site, page: Page) -> None:
    wire = await visit(site, page, '<input type="checkbox" checked dj-change="said(3)">')
    await page.locator("input").uncheck()
    assert (await wire.read())["params"] == {"value": False, "field": None, "_target": None, "_args": [3]}


async def test_an_attribute_of_a_form_is_for_all_its_fields_but_the_nearest_one_counts(
    site: Site, page: Page
) -> None:
    wire = await visit(
        site,
        page,
        '<form dj-change="outer" dj-value-x="1"><input name="a"><input name="b" dj-change="inner"></form>',
    )
    for name in "ab":
        await page.locator(f"[name={name}]").fill("x")
        await page.locator(f"[name={name}]").blur()
    outer, inner = await wire.read(), await wire.read()
    assert [outer["name"], inner["name"]] == ["outer", "inner"]
    assert outer["params"] == {"value": "x", "field": "a", "_target": "a"}


async def test_a_file_is_not_told(site: Site, page: Page) -> None:
    wire = await visit(site, page, '<input type="file" name="f" dj-change="said" dj-input="said">')
    await page.locator("input").set_input_files(
        files=FilePayload(name="a.txt", mimeType="text/plain", buffer=b"x")
    )
    await says_nothing_yet(wire)


# --- When


@pytest.mark.parametrize(("attributes", "milliseconds"), [("", 300), ('dj-debounce="1000"', 1000)])
async def test_typed_text_is_sent_when_the_typing_pauses(
    site: Site, page: Page, attributes: str, milliseconds: int
) -> None:
    wire = await still(site, page, f'<input name="q" dj-input="search" {attributes}>')
    box = page.locator("input")
    await box.press_sequentially("he")
    await page.clock.run_for(milliseconds - 1)
    await box.press_sequentially("llo")
    await page.clock.run_for(milliseconds - 1)
    await says_nothing_yet(wire)
    await page.clock.run_for(1)
    assert (await wire.read())["params"]["value"] == "hello"
    await page.clock.run_for(10 * milliseconds)
    await says_nothing_yet(wire)


async def test_without_a_debounce_every_key_is_sent(site: Site, page: Page) -> None:
    wire = await still(site, page, '<input name="q" dj-input="search" dj-debounce="0">')
    await page.locator("input").press_sequentially("abc")
    assert [(await wire.read())["params"]["value"] for _ in "abc"] == ["a", "ab", "abc"]


async def test_a_debounce_until_blur_waits_for_the_field_to_be_left(site: Site, page: Page) -> None:
    wire = await still(site, page, '<input name="q" dj-input="search" dj-debounce="blur"><input id="next">')
    await page.locator("[name=q]").press_sequentially("abc")
    await page.clock.run_for(60_000)
    await says_nothing_yet(wire)
    await page.locator("#next").focus()
    assert (await wire.read())["params"]["value"] == "abc"
    await page.locator("[name=q]").focus()
    await page.locator("#next").focus()
    await says_nothing_yet(wire)


async def test_clicks_and_changes_may_be_debounced_too(site: Site, page: Page) -> None:
    wire = await still(
        site,
        page,
        '<button dj-click="go" dj-debounce="200">x</button><input type="checkbox" dj-change="set" dj-debounce="100">',
    )
    for _ in range(3):
        await page.locator("button").click()
        await page.locator("input").click()
    await says_nothing_yet(wire)
    await page.clock.run_for(200)
    changed, clicked = await wire.read(), await wire.read()
    assert [changed["name"], changed["params"]["value"], clicked["name"]] == ["set", True, "go"]
    await says_nothing_yet(wire)


async def test_two_fields_of_one_form_wait_each_for_itself(site: Site, page: Page) -> None:
    wire = await still(site, page, '<form dj-input="said"><input name="a"><input name="b"></form>')
    await page.locator("[name=a]").press_sequentially("x")
    await page.locator("[name=b]").press_sequentially("y")
    await page.clock.run_for(300)
    assert [(await wire.read())["params"]["field"] for _ in "ab"] == ["a", "b"]


@pytest.mark.parametrize("action", ["submit", "click"])
async def test_earlier_typing_is_sent_first(site: Site, page: Page, action: str) -> None:
    wire = await still(
        site,
        page,
        '<form dj-submit="submit"><input name="a" dj-input="typed"><button>x</button></form>'
        '<p><b dj-click="click">y</b></p>',
    )
    await page.locator("input").press_sequentially("abc")
    await page.locator({"submit": "button", "click": "b"}[action]).click()
    typed, acted = await wire.read(), await wire.read()
    assert [typed["name"], typed["params"]["value"], acted["name"]] == ["typed", "abc", action]
    await page.clock.run_for(1000)
    await says_nothing_yet(wire)


async def test_nothing_is_sent_while_composing(site: Site, page: Page) -> None:
    wire = await still(site, page, '<input name="q" dj-input="search" dj-debounce="0">')
    await page.locator("input").focus()
    cdp = await page.context.new_cdp_session(page)
    for text in ("に", "にほ"):
        await cdp.send(
            "Input.imeSetComposition", {"text": text, "selectionStart": len(text), "selectionEnd": len(text)}
        )
    await page.clock.run_for(1000)
    await says_nothing_yet(wire)
    await cdp.send("Input.insertText", {"text": "日本"})
    await page.clock.run_for(1)
    assert (await wire.read())["params"]["value"] == "日本"


async def test_a_field_that_waits_for_its_answer_is_marked_and_typing_goes_on(site: Site, page: Page) -> None:
    html = '<input name="q" value="{}" dj-input="search" dj-debounce="0">'
    wire = await visit(site, page, html.format(""))
    box = page.locator("input")
    await box.press_sequentially("a")
    await wire.read()
    assert await box.get_attribute("data-presence-pending") == ""
    await box.press_sequentially("b")
    await render(wire, page, html.format("a"))
    await wire.send("ack", ref=1)
    await render(wire, page, html.format("a") + "<p></p>")
    assert await box.input_value() == "ab"


async def test_text_typed_offline_is_refused_and_stays(site: Site, page: Page) -> None:
    site.body = region('<input name="q" dj-input="search" dj-debounce="0">')
    await page.goto(site.url)
    await site.wire()
    await listen(page, "presence-client:unsent")
    await page.locator("input").press_sequentially("a")
    params = {"value": "a", "field": "q", "_target": "q"}
    assert await events(page) == [["presence-client:unsent", {"name": "search", "params": params}]]
    assert await page.locator("input").input_value() == "a"


# --- After a reconnect

FORM = (
    '<input name="typed" dj-input="typed"><input name="saved" value="{}" dj-change="saved">'
    '<input name="clean" value="c" dj-input="clean"><input name="silent">'
    '<input type="checkbox" name="box" dj-change="box">'
    '<input type="radio" name="r" value="a" dj-change="radio"><input type="radio" name="r" value="b" checked dj-change="radio">'
    '<select name="s" dj-change="select"><option>a<option>b</select>'
    '<input name="off" dj-input="off" disabled><input name="forced" dj-input="forced" dj-force-value>'
)


async def test_after_a_reconnect_the_new_view_is_told_what_was_typed(site: Site, page: Page) -> None:
    wire = await still(site, page, FORM.format(""))
    for name in ("typed", "saved", "silent", "forced"):
        await page.locator(f"[name={name}]").fill("x")
    await page.locator("[name=box]").check()
    await page.locator("[name=r][value=a]").check()
    await page.locator("[name=s]").select_option("b")
    await page.evaluate("document.querySelector('[name=off]').value = 'x'")
    await page.clock.run_for(1000)
    await wire.close(1012)
    await eventually(page, STATE, "reconnecting")
    await page.clock.run_for(1000)
    again = await site.wire()
    await again.ready()
    await eventually(page, STATE, "live")
    await says_nothing_yet(again)
    await again.render(FORM.format("server"))
    told = [await again.read() for _ in range(5)]
    assert [(one["name"], one["params"]["value"]) for one in told] == [
        ("typed", "x"),
        ("saved", "x"),
        ("box", True),
        ("radio", "a"),
        ("select", "b"),
    ]
    await again.render(FORM.format("other"))
    await says_nothing_yet(again)


async def test_text_typed_before_the_page_was_live_is_sent_as_well(site: Site, page: Page) -> None:
    html = '<input name="q" dj-input="search" dj-debounce="0"><p>{}</p>'
    site.body = region(html.format(1))
    await page.goto(site.url)
    wire = await site.wire()
    await page.locator("input").press_sequentially("early")
    await wire.ready()
    await eventually(page, STATE, "live")
    await wire.render(html.format(2))
    assert (await wire.read())["params"]["value"] == "early"
