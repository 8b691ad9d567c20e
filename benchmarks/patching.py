"""The speed of patching a page, beside the morph of htmx 4: ``python -m benchmarks.patching``."""

from __future__ import annotations

import argparse
import asyncio

from playwright.async_api import async_playwright

from tests.browser.conftest import launch
from tests.browser.harness import Site
from tests.browser.harness.race import ALLOWED, race


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--turns", type=int, default=31)
    options = parser.parse_args()
    site = Site()
    await site.start()
    print(f"{'':9} {'rows':>5} {'':7} {'ours':>8} {'htmx':>8}    ratio  allowed   (medians in milliseconds)")
    async with async_playwright() as playwright:
        browser = await launch(playwright.chromium)
        for act, allowed in ALLOWED.items():
            for rows in options.rows:
                for ids in (True, False):
                    page = await browser.new_page()
                    ours, theirs = await race(site, page, act, rows=rows, ids=ids, turns=options.turns)
                    await page.close()
                    print(
                        f"{act:9} {rows:5} {'ids' if ids else 'no ids':7} {ours:8.2f} {theirs:8.2f}"
                        f" {ours / theirs:8.2f} {allowed:8.1f}",
                        flush=True,
                    )
        await browser.close()
    await site.stop()


if __name__ == "__main__":
    asyncio.run(main())
