"""Helpers to watch a page with, none of which needs `eval`, which the policy refuses."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page

from tests.browser.harness.polling import BOUND
from tests.until import until_equal

RECORDER = """
(names) => {
  window.recorded ??= [];
  const record = (event) => window.recorded.push([event.type, JSON.parse(JSON.stringify(event.detail ?? null))]);
  for (const name of names) window.addEventListener(name, record, true);
}
"""


async def eventually(page: Page, expression: str, expected: Any = True) -> None:
    """Wait until the expression has this value in the page."""
    await until_equal(lambda: page.evaluate(expression), expected, BOUND, name=expression)


async def listen(page: Page, *names: str) -> None:
    """Record these events of the window or the document for `events`."""
    await page.evaluate(RECORDER, list(names))


async def events(page: Page) -> list[list[Any]]:
    """The events recorded so far: pairs of name and detail."""
    recorded: list[list[Any]] = await page.evaluate("window.recorded")
    return recorded


async def add_rule(page: Page, rules: str) -> None:
    """Style the page before all that scripts have adopted."""
    await page.evaluate(
        """(rules) => {
            const sheet = new CSSStyleSheet();
            sheet.replaceSync(rules);
            document.adoptedStyleSheets.unshift(sheet);
        }""",
        rules,
    )
