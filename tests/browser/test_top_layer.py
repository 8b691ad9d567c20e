"""Cursors and the status over what is in the browser's top layer: full screen, modal dialogs, popovers."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.harness import (
    ADA,
    STATE,
    Site,
    Wire,
    add_rule,
    board,
    draw,
    drawn,
    eventually,
    render,
    seen,
    visit,
)

RED = (255, 0, 0)
GREY = (43, 43, 43)

# What a page may have for its own popovers.
STYLE = """
    body main { margin: 0; height: 100px; background: white }
    dialog, [popover], section { position: fixed; inset: 0; margin: 0; border: 0; padding: 20px; color: white;
        width: 100vw; height: 100vh; max-width: none; max-height: none; box-sizing: border-box; background: white }
    [popover]:not(:popover-open) { display: none }
    ::backdrop { background: green }
"""
INNER = '<live-cursors name="inner"><main></main></live-cursors>'
KINDS = {
    "dialog": (f"<dialog>{INNER}</dialog>", "dialog", "showModal", "close"),
    "manual": (f'<div popover="manual">{INNER}</div>', "[popover]", "showPopover", "hidePopover"),
    "auto": (f"<div popover>{INNER}</div>", "[popover]", "showPopover", "hidePopover"),
    "fullscreen": (f"<section>{INNER}</section>", "section", "requestFullscreen", ""),
}
kinds = pytest.mark.parametrize(("html", "selector", "opener", "closer"), KINDS.values(), ids=KINDS)


async def enter(page: Page, selector: str, opener: str) -> None:
    """Show the element as a person does it, who may use full screen."""
    await page.evaluate("window.opened = false")
    await page.evaluate(
        """([selector, opener]) => addEventListener("keydown", async () => {
            await document.querySelector(selector)[opener]();
            window.opened = true;
        }, { once: true })""",
        [selector, opener],
    )
    await page.keyboard.press("k")
    await eventually(page, "window.opened")


def on(surface: str | None, x: int, y: int) -> list[Any]:
    return [1, x, y, None, None, None, None, None, None, None, surface]


async def lose(site: Site, wire: Wire, page: Page) -> None:
    site.accepting.clear()
    await wire.close(1012)
    await eventually(page, STATE, "reconnecting")


# --- Cursors


@kinds
@pytest.mark.parametrize("first", ["cursor", "element"])
async def test_cursors_are_seen_over_the_surface_in_it(
    site: Site, page: Page, html: str, selector: str, opener: str, closer: str, first: str
) -> None:
    wire = await board(site, page, html, STYLE)
    if first == "cursor":
        await draw(wire, on("inner", 30, 40))
    await enter(page, selector, opener)
    if first == "element":
        await draw(wire, on("inner", 30, 40))
    await seen(page, RED)
    await drawn(page, ["Ada", 50, 60])
    # It lets everything through.
    assert await page.evaluate("document.elementFromPoint(52, 63).localName") == "main"
    await page.mouse.move(60, 70)
    assert (await wire.read())["surface"] == "inner"
    await page.emulate_media(media="print")
    await seen(page, RED, visible=False)
    await page.emulate_media(media="screen")
    await seen(page, RED)


@pytest.mark.parametrize("name", ["dialog", "manual", "auto"])
async def test_cursors_are_seen_each_time_that_it_opens(site: Site, page: Page, name: str) -> None:
    html, selector, opener, closer = KINDS[name]
    wire = await board(site, page, html, STYLE)
    await draw(wire, on("inner", 30, 40))
    for _ in range(3):
        await page.evaluate(f"document.querySelector('{selector}').{opener}()")
        await seen(page, RED)
        # At once again, which is no change for those who look only now and then.
        again = f"const it = document.querySelector('{selector}'); it.{closer}(); it.{opener}()"
        await page.evaluate(f"(() => {{ {again} }})()")
        await seen(page, RED)
        await page.evaluate(f"document.querySelector('{selector}').{closer}()")
        await drawn(page)
        await seen(page, RED, visible=False)


@kinds
async def test_cursors_of_a_surface_behind_it_stay_behind_it(
    site: Site, page: Page, html: str, selector: str, opener: str, closer: str
) -> None:
    wire = await board(site, page, f"<live-cursors><main></main></live-cursors>{html}", STYLE)
    await draw(wire, on(None, 30, 40))
    await enter(page, selector, opener)
    await drawn(page, ["Ada", 30, 40])
    await seen(page, RED, visible=False)


async def test_a_popover_above_a_dialog_covers_its_cursors(site: Site, page: Page) -> None:
    html = f'<dialog>{INNER}<div popover id="menu">{INNER.replace("inner", "menu")}</div></dialog>'
    wire = await board(site, page, html, STYLE)
    await draw(wire, on("inner", 30, 40))
    await enter(page, "dialog", "showModal")
    await seen(page, RED)
    await enter(page, "#menu", "showPopover")
    await seen(page, RED, visible=False)
    await wire.send("cursors", moves=[on("menu", 30, 40)])
    await seen(page, RED)
    await wire.send("cursors", moves=[on("inner", 35, 40)])
    await seen(page, RED, visible=False)
    await page.evaluate("document.querySelector('#menu').hidePopover()")
    await seen(page, RED)


async def test_a_cursor_over_an_anchor_in_a_dialog_is_seen_over_that(site: Site, page: Page) -> None:
    html = '<live-cursors><main><dialog id="it"></dialog></main></live-cursors>'
    wire = await board(site, page, html, STYLE + "main { transform: rotate(180deg); overflow: hidden }")
    await enter(page, "dialog", "showModal")
    await page.mouse.move(60, 270)
    # Frames before that have the place at which the dialog came under the mouse, if the browser tells of it.
    while (frame := await wire.read()).get("ax") != 60:
        pass
    assert [frame["anchor"], frame["ay"]] == ["it", 270]
    await draw(wire, [1, 30, 40, 400, 300, "it", 60, 270])
    await seen(page, RED)
    await drawn(page, ["Ada", 60, 270])


@pytest.mark.parametrize("root", ["html", "body"])
async def test_cursors_are_seen_when_the_whole_page_is_in_full_screen(
    site: Site, page: Page, root: str
) -> None:
    wire = await board(site, page, INNER + "<dialog></dialog>", STYLE)
    await draw(wire, on("inner", 30, 40))
    await enter(page, root, "requestFullscreen")
    await seen(page, RED)
    await enter(page, "dialog", "showModal")
    await seen(page, RED, visible=False)


async def test_cursors_leave_popovers_focus_and_escape_alone(site: Site, page: Page) -> None:
    html = f"<dialog>{INNER}<div popover>{INNER.replace('inner', 'menu')}<input></div></dialog>"
    wire = await board(site, page, html, STYLE + "dialog { padding: 0 }")
    await page.evaluate(
        """() => {
            window.told = [];
            const tell = ({ type, target }) => window.told.push(`${type} ${target.localName}`);
            for (const name of ["toggle", "focusin", "focusout"]) document.addEventListener(name, tell, true);
        }"""
    )
    await enter(page, "dialog", "showModal")
    await enter(page, "[popover]", "showPopover")
    await page.locator("input").focus()
    await draw(wire, on("inner", 30, 40), on("menu", 50, 60), who={"1": ADA})
    await drawn(page, ["Ada", 70, 80])
    await wire.send("cursors", who={"2": {"id": "b", "name": "Bob"}}, moves=[[2, *on("inner", 5, 6)[1:]]])
    await drawn(page, ["Ada", 70, 80], ["Bob", 5, 6])
    assert await page.evaluate("document.activeElement.localName") == "input"
    assert await page.evaluate("document.querySelectorAll(':popover-open').length") == 1
    await page.keyboard.press("Escape")
    await drawn(page, ["Bob", 5, 6])
    assert await page.evaluate("document.querySelector('dialog').open")
    await page.keyboard.press("Escape")
    await drawn(page)
    assert not await page.evaluate("document.querySelector('dialog').open")
    told = await page.evaluate("window.told")
    assert {one.split()[1] for one in told} <= {"dialog", "div", "input"}, told


# --- The status


@kinds
@pytest.mark.parametrize("first", ["loss", "element"])
async def test_the_status_is_seen_over_it(
    site: Site, page: Page, html: str, selector: str, opener: str, closer: str, first: str
) -> None:
    wire = await visit(site, page, html)
    await add_rule(page, STYLE)
    if first == "loss":
        await lose(site, wire, page)
        await seen(page, GREY)
    await enter(page, selector, opener)
    if first == "element":
        await lose(site, wire, page)
    await seen(page, GREY)
    await expect(page.locator("presence-status")).to_have_text("Reconnecting…")
    await expect(page.locator("presence-status")).to_be_in_viewport()
    # It lets everything through.
    assert await page.evaluate(
        """() => {
            const { left, top } = document.querySelector("presence-status").getBoundingClientRect();
            return document.elementFromPoint(left + 9, top + 9).matches("dialog, section, [popover]");
        }"""
    )
    await page.emulate_media(media="print")
    await seen(page, GREY, visible=False)
    await page.emulate_media(media="screen")
    await seen(page, GREY)
    if closer:
        await page.evaluate(f"document.querySelector('{selector}').{closer}()")
        await seen(page, GREY)
    site.accepting.set()
    await (await site.wire()).ready()
    await seen(page, GREY, visible=False)


async def read_out(page: Page) -> list[str]:
    """The texts of the statuses that assistive technology knows."""
    devtools = await page.context.new_cdp_session(page)
    nodes = (await devtools.send("Accessibility.getFullAXTree"))["nodes"]
    await devtools.detach()
    by_id = {node["nodeId"]: node for node in nodes}

    def text(node: dict[str, Any]) -> str:
        if node.get("role", {}).get("value") == "StaticText":
            return str(node["name"]["value"])
        return "".join(text(by_id[child]) for child in node.get("childIds", []) if child in by_id)

    statuses = [node for node in nodes if not node["ignored"] and node["role"]["value"] == "status"]
    return [text(node) for node in statuses]


async def test_the_status_is_read_out_in_a_modal_dialog(site: Site, page: Page) -> None:
    wire = await visit(site, page, "<dialog><button>Close</button><dialog><input></dialog></dialog>")
    await add_rule(page, STYLE)
    # It is there before it has a text, as a text that comes with it is not read out everywhere.
    assert await read_out(page) == [""]
    await enter(page, "dialog", "showModal")
    await lose(site, wire, page)
    assert await read_out(page) == [""]
    await eventually(page, "document.querySelector('presence-status').textContent", "Reconnecting…")
    assert await read_out(page) == ["Reconnecting…"]
    await enter(page, "dialog dialog", "showModal")
    await eventually(page, "document.querySelector('presence-status').closest('dialog dialog') !== null")
    assert await read_out(page) == ["Reconnecting…"]
    assert await page.evaluate("document.activeElement.localName") == "input"
    await page.keyboard.press("Escape")
    await eventually(page, "document.querySelector('presence-status').closest('dialog dialog') === null")
    assert await read_out(page) == ["Reconnecting…"]
    assert await page.evaluate("document.activeElement.localName") == "button"
    await page.keyboard.press("Escape")
    await eventually(page, "document.querySelector('presence-status').closest('dialog') === null")
    assert await read_out(page) == ["Reconnecting…"]
    await seen(page, GREY)


async def test_a_dialog_that_goes_does_not_take_the_status_along(site: Site, page: Page) -> None:
    wire = await visit(site, page, "<dialog></dialog>")
    await add_rule(page, STYLE)
    await enter(page, "dialog", "showModal")
    await lose(site, wire, page)
    await seen(page, GREY)
    await page.evaluate("document.querySelector('dialog').remove()")
    site.accepting.set()
    wire = await site.wire()
    await wire.ready()
    await eventually(page, STATE, "live")
    await render(wire, page, "<p>1</p>")
    await lose(site, wire, page)
    await seen(page, GREY)


async def test_the_status_leaves_what_a_person_does_in_a_popover_alone(site: Site, page: Page) -> None:
    wire = await visit(site, page, "<div popover><input></div>")
    await add_rule(page, STYLE)
    await enter(page, "[popover]", "showPopover")
    await page.locator("input").focus()
    await lose(site, wire, page)
    await seen(page, GREY)
    await page.keyboard.type("still here")
    await expect(page.locator("input")).to_have_value("still here")
    assert await page.evaluate("document.querySelectorAll(':popover-open').length") == 1
    await page.keyboard.press("Escape")
    assert await page.evaluate("document.querySelectorAll(':popover-open').length") == 0
    await seen(page, GREY)
