"""Accessibility of a page as axe-core finds it."""

from __future__ import annotations

from typing import NamedTuple

from playwright.async_api import Page

from tests.browser.harness.libraries import libraries

__all__ = ["Findings", "examined"]


class Findings(NamedTuple):
    serious: list[str]  # a rule, and the element that breaks it
    passed: set[str]  # rules that were looked at


async def examined(page: Page) -> Findings:
    """Examine the page as it is at this moment."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(
            libraries()["axe.js"].read_text()
        )  # by the debugger: the policy lets no other script in
    results = await page.evaluate("axe.run()")
    serious = [
        f"{violation['id']}: {node['html']}: {node['failureSummary']}"
        for violation in results["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
    return Findings(serious, {rule["id"] for rule in results["passes"]})
