"""Making a page live, on a site whose socket the test plays."""

from __future__ import annotations

from playwright.async_api import Page

from tests.browser.harness.pages import eventually
from tests.browser.harness.site import Site, Wire

STATE = "document.documentElement.dataset.presenceState"
SOCKETS = "window.sockets"

# Counts the sockets that a page opens and loses, and makes its random delays constant.
COUNTED = """
window.sockets = window.opens = window.closes = 0;
window.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    window.sockets += 1;
    this.addEventListener("open", () => window.opens += 1);
    this.addEventListener("close", () => window.closes += 1);
  }
};
Math.random = () => 0.5;
"""


def region(html: str) -> str:
    return f'<live-region id="live-1">{html}</live-region>'


async def visit(site: Site, page: Page, html: str = "", path: str = "/") -> Wire:
    """Open a page with this content in its region, and make it live."""
    site.body = region(html)
    await page.goto(site.url + path, wait_until="domcontentloaded")
    wire = await site.wire()
    await wire.ready()
    await eventually(page, STATE, "live")
    return wire


async def render(wire: Wire, page: Page, html: str) -> None:
    """Render the region and wait until the page shows it."""
    count = await page.evaluate("window.renders ??= 0")
    if count == 0:
        await page.evaluate("document.addEventListener('presence-client:render', () => window.renders++)")
    await wire.render(html)
    await eventually(page, "window.renders", count + 1)


async def paused(site: Site, page: Page) -> Wire:
    """A page whose timers run only when the test says so."""
    await page.add_init_script(COUNTED)
    await page.clock.install(time=0)
    await page.clock.pause_at(1000)
    await page.goto(site.url)
    assert await page.evaluate(SOCKETS) == 1
    return await site.wire()
