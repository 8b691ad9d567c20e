"""The status that a page shows by itself while it has lost its server."""

from __future__ import annotations

import pytest
from playwright.async_api import ConsoleMessage, Page, expect

from tests.browser.conftest import NewPage
from tests.browser.harness import STATE, Site, Wire, add_rule, eventually, paused, turns, visit

STATUS = "document.querySelector('presence-status').textContent"


def heard(page: Page) -> list[str]:
    """Return a list to which the warnings of the console are added as they come."""
    lines: list[str] = []

    def take_in(message: ConsoleMessage) -> None:
        if message.type == "warning":
            lines.append(message.text)

    page.on("console", take_in)
    return lines


async def lost(site: Site, page: Page, text: str | None = None) -> Wire:
    """A page with its timers paused that has just lost its socket, while the server accepts no other."""
    wire = await paused(site, page)
    if text is not None:
        await page.evaluate("(text) => document.documentElement.dataset.presenceReconnecting = text", text)
    await wire.ready()
    await eventually(page, STATE, "live")
    site.accepting.clear()
    await wire.close(1012)
    await eventually(page, STATE, "reconnecting")
    return wire


async def test_a_page_says_that_it_reconnects_after_a_second_and_until_it_has(site: Site, page: Page) -> None:
    await lost(site, page)
    await page.clock.run_for(999)
    assert await page.evaluate(STATUS) == ""
    await page.clock.run_for(1)
    status = page.get_by_role("status")
    await expect(status).to_have_text("Reconnecting…")
    await expect(status).to_be_visible()
    site.accepting.set()
    wire = await site.wire()
    await wire.ready()
    await expect(status).to_have_text("")
    await page.clock.run_for(10_000)
    assert await page.evaluate(STATUS) == ""


async def test_a_short_interruption_is_not_mentioned(site: Site, page: Page) -> None:
    await lost(site, page)
    await page.clock.run_for(900)
    site.accepting.set()
    wire = await site.wire()
    await wire.ready()
    await eventually(page, STATE, "live")
    await page.clock.run_for(10_000)
    assert await page.evaluate(STATUS) == ""


@pytest.mark.parametrize("text", [None, "Diese Seite ruht.", ""])
async def test_a_page_that_has_stopped_says_so_for_good(site: Site, page: Page, text: str | None) -> None:
    warnings = heard(page)
    await lost(site, page)
    if text is not None:
        await page.evaluate("(text) => document.documentElement.dataset.presenceStopped = text", text)
    await page.clock.run_for(1000)
    site.accepting.set()
    await (await site.wire()).close(4403, "forbidden")
    await eventually(page, STATE, "stopped")
    assert await page.evaluate(STATUS) == ""
    await page.clock.run_for(60_000)
    assert await page.evaluate(STATUS) == (
        "This page no longer updates: reload it." if text is None else text
    )
    assert [line for line in warnings if "no longer updates" in line] == [
        "djust_presence: this page no longer updates: closed with 4403, forbidden. See docs/how-to/troubleshoot.md."
    ]


async def test_a_page_that_never_gets_a_connection_says_so_after_some_tries(site: Site, page: Page) -> None:
    warnings = heard(page)
    wire = await paused(site, page)
    await wire.close(1011)
    for count in (2, 3):
        await eventually(page, "window.closes", count - 1)
        await page.clock.run_for(4000)
        assert await page.evaluate(STATUS) == ""
        assert warnings == []
        await (await site.wire()).close(1011)
    await eventually(page, "window.closes", 3)
    await page.clock.run_for(4000)
    assert await page.evaluate(STATE) == "connecting"
    await page.clock.run_for(1000)
    assert await page.evaluate(STATUS) == "Reconnecting…"
    (line,) = warnings
    assert f"no connection to {site.url.replace('http', 'ws')}/: has asgi.py" in line
    await (await site.wire()).ready()
    await eventually(page, STATE, "live")
    assert await page.evaluate(STATUS) == ""


async def test_a_view_that_fails_is_told_in_the_console_once(site: Site, page: Page) -> None:
    warnings = heard(page)
    wire = await paused(site, page)
    for count in range(1, 4):
        await wire.close(4500, "failed")
        await eventually(page, "window.closes", count)
        await page.clock.run_for(4000)
        wire = await site.wire()
    assert [line for line in warnings if "the server's log" in line] == warnings
    assert len(warnings) == 1


async def test_frames_that_are_not_sent_are_told_in_the_console(site: Site, page: Page) -> None:
    warnings = heard(page)
    wire = await visit(site, page, '<form dj-submit="save"><button>Save</button></form>')
    for _ in range(2):
        await page.evaluate("document.querySelector('form').requestSubmit()")
    site.accepting.clear()
    await wire.close(1012)
    await eventually(page, STATE, "reconnecting")
    await page.evaluate("document.querySelector('form').requestSubmit()")
    assert [line for line in warnings if "not sent" in line] == [
        "djust_presence: save was not sent: the form's last submit is still on its way.",
        "djust_presence: save was not sent: there is no connection.",
    ]


async def test_a_script_that_is_missing_is_told_in_the_console_once(site: Site, new_page: NewPage) -> None:
    new_page.allow("404")
    page = await new_page()
    warnings = heard(page)
    for missing in ("patch.js", "cursors.js"):
        del site.static[missing]
    site.body = "<live-cursors><main></main></live-cursors>"
    wire = await paused(site, page)
    await wire.ready()
    for turn in (1, 2):
        await wire.render(f"<p>{turn}</p>")
    await wire.send("ping")
    await wire.read()
    async for _ in turns():
        if sum("/static/cursors.js" in one for one in site.requests) >= 2:
            break
        await page.clock.run_for(5000)
    assert sorted(line[:51] for line in warnings if "cannot be loaded" in line) == [
        "djust_presence: /static/cursors.js cannot be loaded",
        "djust_presence: patch.js cannot be loaded, and with",
    ]


@pytest.mark.parametrize("text", ["Verbindung wird wiederhergestellt …", ""])
async def test_its_text_is_the_pages_own_if_that_has_one(site: Site, page: Page, text: str) -> None:
    await lost(site, page, text)
    await page.clock.run_for(1000)
    assert await page.evaluate(STATUS) == text
    await expect(page.locator("presence-status")).to_be_visible(visible=bool(text))


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_can_be_read_in_light_and_dark_and_a_pages_rules_have_their_way(
    site: Site, page: Page, scheme: str
) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await lost(site, page)
    await page.clock.run_for(1000)
    status = page.locator("presence-status")
    await expect(status).to_have_css("background-color", "rgb(43, 43, 43)")
    await expect(status).to_have_css("color", "rgb(255, 255, 255)")
    await add_rule(page, "html { --presence-status-background: navy; --presence-status-color: yellow }")
    await expect(status).to_have_css("background-color", "rgb(0, 0, 128)")
    await expect(status).to_have_css("color", "rgb(255, 255, 0)")
    await add_rule(page, "presence-status { display: none }")
    await expect(status).to_be_hidden()


async def test_it_stays_when_the_whole_page_is_patched(site: Site, page: Page) -> None:
    wire = await visit(site, page)
    await wire.render("<p>new</p>", "*")
    await expect(page.locator("p")).to_have_text("new")
    assert await page.locator("presence-status").count() == 1


async def test_it_is_read_out_where_a_role_is_an_attribute_only(site: Site, page: Page) -> None:
    await page.add_init_script("delete Element.prototype.role")
    await visit(site, page)
    await expect(page.locator("presence-status")).to_have_attribute("role", "status")


async def test_advice_of_the_server_is_told_in_the_console(site: Site, page: Page) -> None:
    advice = "Room shows presence, but neither tracks nor watches."
    site.plain["/ordinary/"] = (
        f'<p>ordinary</p><script src="/static/base.js" defer data-advice="{advice}"></script>'
    )
    site.script = site.script.replace(" data-cursors", f' data-advice="{advice}" data-cursors')
    warnings = heard(page)
    await page.goto(site.url + "/ordinary/")
    assert warnings == [f"djust_presence: {advice}"]
    wire = await visit(site, page, "<p>live</p>")
    await wire.ready()
    await eventually(page, STATE, "live")
    assert warnings == [f"djust_presence: {advice}"] * 2
