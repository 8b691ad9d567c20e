"""Forms: what they send, and their fields when the answer comes."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import FilePayload, Page, expect

from tests.browser.conftest import NewPage
from tests.browser.harness import STATE, Site, Wire, events, eventually, listen, region, render, visit

COMPOSER = '<form dj-submit="send"><input name="text"><button>Send</button></form><p>{}</p>'
PENDING = "data-presence-pending"


async def submit(page: Page, wire: Wire) -> dict[str, Any]:
    """Submit the only form by its first button, and return the params that come."""
    await page.locator("form button, form input[type=submit]").first.click()
    return await sent(wire)


async def sent(wire: Wire) -> dict[str, Any]:
    params: dict[str, Any] = (await wire.read())["params"]
    return params


async def says_nothing_else(wire: Wire) -> None:
    """Fail if the page has sent a frame that the test has not read."""
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}


# --- What is sent


@pytest.mark.parametrize(
    ("fields", "params"),
    [
        ('<input name="a" value=" x "><textarea name="b">y\nz</textarea>', {"a": " x ", "b": "y\nz"}),
        ('<input name="kebab-case" value="x"><input value="nameless">', {"kebab-case": "x"}),
        (
            '<input name="attributes" value="x"><input name="name" value="y">',
            {"attributes": "x", "name": "y"},
        ),
        ('<input name="a" value="x" disabled><input type="hidden" name="b" value="y">', {"b": "y"}),
        ('<input type="checkbox" name="a"><input type="checkbox" name="b" checked>', {"b": "on"}),
        ('<input type="checkbox" name="a" value="7" checked>', {"a": "7"}),
        (
            '<input type="checkbox" name="a" value="1" checked><input type="checkbox" name="a" value="2">',
            {"a": ["1"]},
        ),
        (
            '<input type="radio" name="a" value="1"><input type="radio" name="a" value="2" checked>',
            {"a": "2"},
        ),
        ('<select name="a"><option value="1">one<option value="2" selected>two</select>', {"a": "2"}),
        ('<select name="a" multiple><option selected>x<option>y</select>', {"a": ["x"]}),
        ('<select name="a" multiple><option>x<option>y</select>', {}),
        ('<input name="a" value="x"><input name="a" value="y">', {"a": ["x", "y"]}),
        ('<input type="hidden" name="csrfmiddlewaretoken" value="secret"><input name="a">', {"a": ""}),
        ('<input type="file" name="a"><input name="b" value="x">', {"b": "x"}),
    ],
)
async def test_a_form_sends_what_it_holds(
    site: Site, page: Page, fields: str, params: dict[str, Any]
) -> None:
    wire = await visit(site, page, f'<form dj-submit="save">{fields}<button>Save</button></form>')
    await page.locator("button").click()
    assert await wire.read() == {
        "type": "event",
        "ref": 1,
        "name": "save",
        "params": {**params, "_target": None},
    }
    assert page.url == site.url + "/"


async def test_a_chosen_file_is_not_sent(site: Site, page: Page) -> None:
    wire = await visit(
        site, page, '<form dj-submit="save"><input type="file" name="a"><button></button></form>'
    )
    await page.locator("input").set_input_files(
        files=FilePayload(name="a.txt", mimeType="text/plain", buffer=b"x")
    )
    assert await submit(page, wire) == {"_target": None}
    await wire.send("ack", ref=1)
    await render(wire, page, '<form dj-submit="save"><input type="file" name="a"><button>x</button></form>')
    assert await page.evaluate("document.querySelector('input').files.length") == 1


@pytest.mark.parametrize(
    ("button", "params"),
    [
        ("<button>x</button>", {"_target": None}),
        ('<button id="b">x</button>', {"_target": "b"}),
        ('<button id="b" name="do" value="drop">x</button>', {"_target": "do", "do": "drop"}),
        ('<input type="submit" name="do" value="drop">', {"_target": "do", "do": "drop"}),
    ],
)
async def test_the_pressed_button_is_sent_and_no_other(
    site: Site, page: Page, button: str, params: dict[str, Any]
) -> None:
    form = f'<form dj-submit="save">{button}<button name="do" value="other">other</button></form>'
    wire = await visit(site, page, form)
    assert await submit(page, wire) == params


async def test_values_of_the_form_come_with_its_fields(site: Site, page: Page) -> None:
    form = '<form dj-submit="save" dj-value-item-id:int="3" data-more="x"><input name="a"><button>x</button></form>'
    wire = await visit(site, page, form)
    assert await submit(page, wire) == {"a": "", "item_id": 3, "_target": None}


async def test_enter_and_a_button_outside_of_the_form_submit_it(site: Site, page: Page) -> None:
    form = '<form id="f" dj-submit="save"><input name="a"></form><input name="b" form="f"><button form="f">x</button>'
    wire = await visit(site, page, form)
    await page.locator("[name=b]").fill("out")
    await page.locator("[name=a]").press("Enter")
    assert await sent(wire) == {"a": "", "b": "out", "_target": None}
    await wire.send("ack", ref=1)
    await expect(page.locator("[name=b]")).to_have_value("")
    await page.locator("button").click()
    assert await sent(wire) == {"a": "", "b": "", "_target": None}


async def test_fields_that_the_browser_finds_invalid_are_not_sent(site: Site, page: Page) -> None:
    wire = await visit(
        site, page, '<form dj-submit="save"><input name="a" required><button>x</button></form>'
    )
    await page.locator("button").click()
    await says_nothing_else(wire)


async def test_a_payload_too_large_for_a_frame_is_refused_in_the_page(site: Site, page: Page) -> None:
    wire = await visit(site, page, COMPOSER.format(1))
    await listen(page, "presence-client:refused")
    await page.locator("input").fill("é" * 33_000)
    await page.locator("button").click()
    assert (await events(page))[0][1]["code"] == "too-large"
    await says_nothing_else(wire)
    assert len(await page.locator("input").input_value()) == 33_000
    await page.locator("input").fill("short")
    assert (await submit(page, wire))["text"] == "short"


# --- When the answer comes


async def test_a_composer_is_empty_after_the_answer_and_has_kept_the_focus(site: Site, page: Page) -> None:
    wire = await visit(site, page, COMPOSER.format(1))
    box = page.locator("input")
    await box.fill("hello")
    await box.press("Enter")
    assert (await sent(wire))["text"] == "hello"
    await render(wire, page, COMPOSER.format("hello"))
    assert await box.input_value() == "hello"
    await wire.send("ack", ref=1)
    await expect(box).to_have_value("")
    await expect(box).to_be_focused()
    await render(wire, page, COMPOSER.format("another"))
    assert await box.input_value() == ""


async def test_text_typed_during_an_answer_stays(site: Site, page: Page) -> None:
    wire = await visit(
        site, page, '<form dj-submit="send"><input name="a"><input name="b"><button></button></form>'
    )
    await page.locator("[name=a]").fill("first")
    await page.locator("[name=b]").fill("b")
    await submit(page, wire)
    await page.locator("[name=a]").press("End")
    await page.locator("[name=a]").press_sequentially(" and second")
    await wire.send("ack", ref=1)
    await expect(page.locator("[name=b]")).to_have_value("")
    await expect(page.locator("[name=a]")).to_have_value("first and second")


@pytest.mark.parametrize("code", ["failed", "bad-arguments"])
async def test_an_error_changes_nothing(site: Site, page: Page, code: str) -> None:
    wire = await visit(site, page, COMPOSER.format(1))
    await page.locator("input").fill("hello")
    await submit(page, wire)
    await wire.send("error", ref=1, code=code, message="No.")
    await expect(page.locator("form")).not_to_have_attribute(PENDING, "")
    await render(wire, page, COMPOSER.format(2))
    assert await page.locator("input").input_value() == "hello"


async def test_an_edit_form_shows_what_was_saved(site: Site, page: Page) -> None:
    form = (
        '<form dj-submit="save"><input name="name" value="{}"><textarea name="about">{}</textarea>'
        '<input type="checkbox" name="agree"{}><select name="colour"><option>red<option{}>green</select>'
        "<button>Save</button></form>"
    )
    wire = await visit(site, page, form.format("ada", "", "", ""))
    await page.locator("[name=name]").fill("  Ada  ")
    await page.locator("[name=about]").fill("Countess")
    await page.locator("[name=agree]").check()
    await page.locator("[name=colour]").select_option("green")
    assert await submit(page, wire) == {
        "name": "  Ada  ",
        "about": "Countess",
        "agree": "on",
        "colour": "green",
        "_target": None,
    }
    await wire.render(form.format("Ada", "The Countess", "", " selected"))
    await wire.send("ack", ref=1)
    await expect(page.locator("[name=name]")).to_have_value("Ada")
    await expect(page.locator("[name=about]")).to_have_value("The Countess")
    await expect(page.locator("[name=agree]")).not_to_be_checked()
    await expect(page.locator("[name=colour]")).to_have_value("green")


async def test_a_form_that_comes_back_with_errors_keeps_what_it_shows(site: Site, page: Page) -> None:
    wire = await visit(
        site, page, '<form dj-submit="save"><input name="a" value=""><button>x</button></form>'
    )
    await page.locator("input").fill("not an address")
    await submit(page, wire)
    await wire.render(
        '<form dj-submit="save"><input name="a" value="not an address" aria-invalid="true"><button>x</button></form>'
    )
    await wire.send("ack", ref=1)
    await expect(page.locator("input")).to_have_attribute("aria-invalid", "true")
    await expect(page.locator("form")).not_to_have_attribute(PENDING, "")
    assert await page.locator("input").input_value() == "not an address"


async def test_choices_are_cleared_but_not_one_that_was_made_meanwhile(site: Site, page: Page) -> None:
    def radios(name: str) -> str:
        return "".join(f'<input type="radio" name="{name}" value="{value}">' for value in "abc")

    wire = await visit(
        site, page, f'<form dj-submit="vote">{radios("r")}{radios("s")}<button></button></form>'
    )
    await page.locator("[name=r][value=a]").check()
    await page.locator("[name=s][value=a]").check()
    assert await submit(page, wire) == {"r": "a", "s": "a", "_target": None}
    await page.locator("[name=s][value=b]").check()
    await wire.send("ack", ref=1)
    await expect(page.locator("[name=r][value=a]")).not_to_be_checked()
    await expect(page.locator("[name=s][value=b]")).to_be_checked()


async def test_an_answer_does_not_end_an_ime_composition(site: Site, page: Page) -> None:
    html = (
        '<form dj-submit="send"><input name="a"><input name="b" value="{}"><button>x</button></form><p>{}</p>'
    )
    wire = await visit(site, page, html.format("", 1))
    await page.locator("[name=a]").fill("hello")
    await submit(page, wire)
    await page.locator("[name=b]").focus()
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("Input.imeSetComposition", {"text": "に", "selectionStart": 1, "selectionEnd": 1})
    await render(wire, page, html.format("server", 2))
    await wire.send("ack", ref=1)
    await expect(page.locator("form")).not_to_have_attribute(PENDING, "")
    assert await page.locator("[name=b]").input_value() == "に"
    await cdp.send("Input.imeSetComposition", {"text": "にほ", "selectionStart": 2, "selectionEnd": 2})
    assert await page.locator("[name=b]").input_value() == "にほ"
    await cdp.send("Input.insertText", {"text": "日本"})
    await expect(page.locator("[name=a]")).to_have_value("")
    assert await page.locator("[name=b]").input_value() == "日本"


# --- While it is under way


async def test_one_submit_of_a_form_is_on_its_way_at_a_time(site: Site, page: Page) -> None:
    wire = await visit(site, page, COMPOSER.format(1))
    await listen(page, "presence-client:unsent")
    box, button = page.locator("input"), page.locator("button")
    await box.fill("first")
    await submit(page, wire)
    await box.fill("second")
    await box.press("Enter")
    await button.click(force=True)
    unsent = ["presence-client:unsent", {"name": "send", "params": {"text": "second", "_target": None}}]
    assert await events(page) == [unsent, unsent]
    await says_nothing_else(wire)
    await wire.send("ack", ref=1)
    await expect(page.locator("form")).not_to_have_attribute(PENDING, "")
    assert await box.input_value() == "second"
    assert (await submit(page, wire))["text"] == "second"


async def test_a_form_on_its_way_is_marked_and_its_button_keeps_the_focus(site: Site, page: Page) -> None:
    html = (
        '<form dj-submit="vote"><button id="b">x</button>'
        '<button id="own" aria-disabled="{}">y</button><button id="other" type="button">z</button></form><p>{}</p>'
    )
    wire = await visit(site, page, html.format("false", 1))
    await page.locator("#b").click()
    await wire.read()

    async def marks() -> list[str | None]:
        return [
            await page.locator("form").get_attribute(PENDING),
            *[await page.locator(f"#{one}").get_attribute("aria-disabled") for one in ("b", "own", "other")],
        ]

    assert await marks() == ["", "true", "true", None]
    await render(wire, page, html.format("mixed", 2))
    assert await marks() == ["", "true", "true", None]
    await expect(page.locator("#b")).to_be_focused()
    assert not await page.evaluate("document.querySelectorAll(':disabled').length")
    await wire.send("ack", ref=1)
    await expect(page.locator("form")).not_to_have_attribute(PENDING, "")
    assert await marks() == [None, None, "mixed", None]


async def test_a_form_is_refused_while_offline_and_keeps_what_it_holds(site: Site, page: Page) -> None:
    site.body = region(COMPOSER.format(1))
    await page.goto(site.url)
    wire = await site.wire()
    await listen(page, "presence-client:unsent")
    await page.locator("input").fill("hello")
    await page.locator("button").click()
    assert await events(page) == [
        ["presence-client:unsent", {"name": "send", "params": {"text": "hello", "_target": None}}]
    ]
    assert page.url == site.url + "/"
    await wire.ready()
    await eventually(page, STATE, "live")
    await render(wire, page, COMPOSER.format(2))
    await says_nothing_else(wire)
    assert (await submit(page, wire))["text"] == "hello"


async def test_a_form_whose_answer_was_lost_keeps_its_text_and_can_be_sent_again(
    site: Site, page: Page, new_page: NewPage
) -> None:
    wire = await visit(site, page, COMPOSER.format(1))
    await page.locator("input").fill("hello")
    await submit(page, wire)
    await wire.close(1012)
    await expect(page.locator("form")).not_to_have_attribute(PENDING, "")
    await expect(page.locator("button")).not_to_have_attribute("aria-disabled", "true")
    again = await site.wire()
    await again.ready()
    await eventually(page, STATE, "live")
    await render(again, page, COMPOSER.format(2))
    assert await page.locator("input").input_value() == "hello"
    assert (await submit(page, again))["text"] == "hello"


async def test_a_form_that_is_replaced_on_its_way_can_be_sent(site: Site, page: Page) -> None:
    wire = await visit(site, page, f'<div id="one">{COMPOSER.format(1)}</div>')
    await page.locator("input").fill("hello")
    await submit(page, wire)
    await render(wire, page, f'<section id="two">{COMPOSER.format(2)}</section>')
    await page.locator("input").fill("again")
    await expect(page.locator("input")).to_have_value("again")
    await wire.send("ack", ref=1)
    await render(wire, page, f'<section id="two">{COMPOSER.format(3)}</section>')
    assert (await submit(page, wire))["text"] == "again"
