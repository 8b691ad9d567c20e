"""`window.djustPresence`, by which a page's own scripts call event handlers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.harness import STATE, Site, Wire, events, eventually, listen, visit
from tests.browser.harness.libraries import libraries

# What came of a call: ["kept", value], or ["failed", whether it is an Error, its code, its message].
CALL = """
(given) => {
  const told = (...all) => window.outcomes.push(all);
  window.outcomes ??= [];
  window.djustPresence.event(...given).then(
    (value) => told("kept", value ?? null),
    (error) => told("failed", error instanceof Error, error.code, error.message),
  );
}
"""
OUTCOMES = "window.outcomes"


async def call(page: Page, *given: Any) -> None:
    await page.evaluate(CALL, list(given))


async def test_a_call_is_an_event_and_its_promise_waits_for_the_answer(site: Site, page: Page) -> None:
    wire = await visit(site, page, "<p>0</p>")
    await call(page, "move", {"card": 3, "to": ["done", None]})
    frame = await wire.read()
    assert (frame["type"], frame["name"], frame["params"]) == (
        "event",
        "move",
        {"card": 3, "to": ["done", None]},
    )
    await call(page, "wave")
    other = await wire.read()
    assert (other["name"], other["params"]) == ("wave", {})
    await wire.send("ack", ref=other["ref"])
    await eventually(page, OUTCOMES, [["kept", None]])
    await page.evaluate("window.outcomes.length = 0")
    shown = "document.querySelector('p').textContent"
    await page.evaluate(
        f"() => {{ window.djustPresence.event('read').then(() => window.outcomes.push({shown})) }}"
    )
    await wire.render("<p>1</p>")
    await wire.send("ack", ref=(await wire.read())["ref"])
    await eventually(page, OUTCOMES, ["1"])


async def test_a_refusal_is_an_error_with_its_code_and_no_notice(site: Site, page: Page) -> None:
    wire = await visit(site, page)
    await listen(page, "presence-client:refused", "presence-client:unsent")
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    await call(page, "move")
    await wire.send("error", ref=(await wire.read())["ref"], code="too-many", message="Too much.")
    await eventually(page, OUTCOMES, [["failed", True, "too-many", "Too much."]])
    assert await events(page) == []
    assert said == []


async def test_too_much_at_once_is_not_sent(site: Site, page: Page) -> None:
    wire = await visit(site, page)
    await call(page, "draw", {"points": "é" * 33_000})
    await eventually(page, OUTCOMES, [["failed", True, "too-large", "A page sends at most 64 KB at once."]])
    await call(page, "wave")
    assert (await wire.read())["name"] == "wave"


async def test_a_value_that_is_not_json_fails_and_spoils_nothing(site: Site, page: Page) -> None:
    wire = await visit(site, page)
    await page.evaluate(
        """async () => {
          const around = {};
          around.around = around;
          window.outcome = await window.djustPresence.event("x", around).catch((error) => error.name);
        }"""
    )
    assert await page.evaluate("window.outcome") == "TypeError"
    await call(page, "wave")
    await wire.send("ack", ref=(await wire.read())["ref"])
    await eventually(page, OUTCOMES, [["kept", None]])


async def test_nothing_is_queued_and_what_was_on_its_way_is_lost(site: Site, page: Page) -> None:
    wire = await visit(site, page)
    await call(page, "one")
    await wire.read()
    site.accepting.clear()
    await wire.close(1012)
    lost = ["failed", True, "lost", "The connection was lost before the answer came."]
    await eventually(page, OUTCOMES, [lost])
    await eventually(page, STATE, "reconnecting")
    await call(page, "two")
    await eventually(page, OUTCOMES, [lost, ["failed", True, "unsent", "There is no connection."]])
    site.accepting.set()
    wire = await site.wire()
    await wire.ready()
    await eventually(page, STATE, "live")
    await call(page, "three")
    assert (await wire.read())["name"] == "three"


async def test_typed_text_is_sent_before_a_call(site: Site, page: Page) -> None:
    wire = await visit(site, page, '<input name="text" dj-input="edit" dj-debounce="60000">')
    await page.locator("input").fill("abc")
    await call(page, "save")
    assert [(await wire.read())["name"] for _ in range(2)] == ["edit", "save"]


CLOBBERING = (
    '<img id="djustPresence" name="djustPresence" alt="">'
    '<form id="djustPresence" name="djustPresence"><input name="event"></form>'
    '<iframe name="djustPresence" title="x"></iframe>'
)


async def test_elements_of_that_name_are_not_taken_for_it(site: Site, page: Page) -> None:
    site.policy = "default-src 'self'; img-src 'self' data:"
    wire = await visit(site, page, CLOBBERING)
    await call(page, "wave")
    assert (await wire.read())["name"] == "wave"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_object_that_another_script_made_is_extended(site: Site, page: Page, when: str) -> None:
    if when == "before":
        await page.add_init_script("window.djustPresence = { join: 1 }")
    wire = await visit(site, page)
    if when == "after":
        await page.evaluate("window.djustPresence.join = 1")
    assert await page.evaluate("window.djustPresence.join") == 1
    await call(page, "wave")
    assert (await wire.read())["name"] == "wave"


async def test_it_speaks_to_the_view_of_the_page_after_a_boosted_navigation(site: Site, page: Page) -> None:
    site.static |= libraries()
    site.head = '<script src="/static/htmx-4.js" defer></script>'
    wire = await visit(site, page, '<a href="/next" hx-boost="true">next</a>')
    leaving = asyncio.create_task(wire.gone())
    await page.locator("a").click()
    following: Wire = await site.wire()
    assert await leaving == 1000
    await following.ready()
    await eventually(page, STATE, "live")
    await call(page, "wave")
    assert (await following.read())["name"] == "wave"
