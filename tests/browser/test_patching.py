"""Patching of a page with new HTML, around what a person did in it."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.browser.harness import (
    Site,
    events,
    eventually,
    listen,
    region,
    render,
    visit,
)


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


async def test_a_new_checked_radio_button_does_not_take_the_choice(site: Site, page: Page) -> None:
    radio = '<input type="radio" name="r" value="{}"{}>'
    wire = await visit(site, page, radio.format("a", "") + radio.format("b", ""))
    await page.locator("[value=b]").check()
    await render(wire, page, radio.format("new", " checked") + radio.format("a", "") + radio.format("b", ""))
    assert await page.evaluate("document.querySelector('input:checked').value") == "b"


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


async def test_an_element_that_a_person_opened_stays_open(site: Site, page: Page) -> None:
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


async def test_a_scrolled_list_stays_where_it_is(site: Site, page: Page) -> None:
    html = '<select size="4">' + "<option>line {0}" * 50 + "</select><p>{0}</p>"
    wire = await visit(site, page, html.format(1))
    await page.evaluate("document.querySelector('select').scrollTop = 200")
    await render(wire, page, html.format(2))
    assert await page.evaluate("document.querySelector('select').scrollTop") == 200
    assert await page.locator("option").last.text_content() == "line 2"


async def test_focus_comes_back_when_a_patch_has_taken_it(site: Site, page: Page) -> None:
    """Here by a script of the page, as a browser does that moves an element by taking it out and in."""
    wire = await visit(site, page, '<input id="f" value="abc"><p>1</p>')
    await page.locator("#f").focus()
    await page.evaluate("document.querySelector('#f').setSelectionRange(1, 2, 'backward')")
    await page.evaluate(
        """customElements.define("x-blur", class extends HTMLElement {
          connectedCallback() { document.activeElement.blur(); }
        })"""
    )
    await render(wire, page, '<input id="f" value="abc"><p>2</p><x-blur></x-blur>')
    await expect(page.locator("#f")).to_be_focused()
    assert await page.locator("#f").evaluate(
        "f => [f.selectionStart, f.selectionEnd, f.selectionDirection]"
    ) == [
        1,
        2,
        "backward",
    ]


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


PATCHER = '<script src="/static/patch.js"></script>'


async def test_renders_and_answers_wait_for_a_patcher_that_comes_late(site: Site, page: Page) -> None:
    """As where a navigation by script brings both scripts, which then run in any order."""
    site.script = site.script.replace(PATCHER, "")
    form = '<form dj-submit="save"><input name="a" value="{}"><button>x</button></form>'
    wire = await visit(site, page, form.format("old"))
    await page.locator("input").fill("New")
    await page.locator("button").click()
    await wire.read()
    for value in ("newer", "new"):
        await wire.render(form.format(value))
    await wire.send("ack", ref=1)
    await expect(page.locator("form")).not_to_have_attribute("data-presence-pending", "")
    assert await page.locator("input").input_value() == "New"
    await page.evaluate(
        """
        window.seen = [];
        new MutationObserver(() => window.seen.push(document.querySelector("input").defaultValue))
          .observe(document.querySelector("live-region"), {subtree: true, attributes: true});
        """
    )
    await page.add_script_tag(url="/static/patch.js")
    await expect(page.locator("input")).to_have_value("new")
    assert set(await page.evaluate("window.seen")) == {"new"}


async def test_a_region_takes_part_in_its_parents_layout(site: Site, page: Page) -> None:
    await visit(site, page)
    assert (
        await page.evaluate("getComputedStyle(document.querySelector('live-region')).display") == "contents"
    )


async def test_colours_pass_a_strict_policy(site: Site, page: Page) -> None:
    html = '<b data-presence-color="{}">x</b><i>{}</i>'
    color = "document.querySelector('b').style.getPropertyValue('--presence-color')"
    wire = await visit(site, page, html.format("#e74c3c", 1))
    assert await page.evaluate(color) == "rgb(231, 76, 60)"
    await render(wire, page, html.format("#e74c3c", 2))
    assert await page.evaluate(color) == "rgb(231, 76, 60)"
    await render(wire, page, html.format("rebeccapurple", 2))
    assert await page.evaluate(color) == "rebeccapurple"
    await render(wire, page, html.format("url(/track)", 3))
    assert await page.evaluate(color) == ""


async def test_a_nonce_is_passed_on_to_the_script_for_cursors(site: Site, page: Page) -> None:
    site.policy = "default-src 'self'; script-src 'nonce-abc'"
    site.script = site.script.replace("<script ", '<script nonce="abc" ')
    wire = await visit(site, page)
    await render(wire, page, "<live-cursors><main>1</main></live-cursors>")
    await expect(page.locator("presence-cursors")).to_be_attached()
