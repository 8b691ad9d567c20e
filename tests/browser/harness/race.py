"""Patching beside the morph of htmx 4, in turns in one page of one Chromium."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from playwright.async_api import Page

from tests.browser.harness.libraries import libraries
from tests.browser.harness.site import Site

RACE = Path(__file__).parent / "race.js"
# What changes in a list of rows → how often the time of htmx's morph it may take.
ALLOWED = {
    "heading": 1.0,
    "changed": 1.0,
    "inserted": 1.0,
    "removed": 1.0,
    "moved": 3.0,
    "reversed": 3.0,
    "all": 2.0,
}


async def race(
    site: Site, page: Page, act: str, *, rows: int = 1000, ids: bool = True, turns: int = 15
) -> tuple[float, float]:
    """The median times in milliseconds of ours and of htmx, without parsing, to show what `act` changes."""
    site.static |= libraries() | {"race.js": RACE}
    site.policy = "default-src 'self'; style-src 'self' 'unsafe-inline'"
    site.body = '<live-region id="ours"></live-region><div id="htmx"></div>'
    site.script = "".join(
        f'<script src="/static/{name}"></script>' for name in ("htmx-4.js", "race.js", "patch.js")
    )
    await page.goto(site.url)
    options = {"rows": rows, "ids": ids, "turns": turns}
    times = await page.evaluate("([act, options]) => race(act, options)", [act, options])
    return median(times["ours"]), median(times["htmx"])
