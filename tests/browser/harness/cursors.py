"""The server's part for a page with a shared surface, and the cursors that the page draws."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page

from tests.browser.harness.live import visit
from tests.browser.harness.pages import add_rule, eventually
from tests.browser.harness.site import Site, Wire

STYLE = """
    body { margin: 0; font: 16px/20px monospace }
    main { display: block; margin: 50px 0 0 100px; width: 400px; height: 300px }
"""
SURFACE = '<live-cursors guest="Gast"><main></main></live-cursors>'
ADA = {"id": "a", "name": "Ada", "color": "rgb(255, 0, 0)"}

# Label, left and top of each cursor that is drawn.
DRAWN = """
Array.from(document.querySelector("presence-cursors")?.shadowRoot.querySelectorAll(".cursor") ?? [], (cursor) => {
  const { left, top } = cursor.getBoundingClientRect();
  return [cursor.textContent.trim(), Math.round(left), Math.round(top)];
}).sort(([a, left], [b, right]) => (a === b ? left - right : a < b ? -1 : 1))
"""


async def board(site: Site, page: Page, html: str = SURFACE, style: str = "") -> Wire:
    """A live page with a surface, 400 by 300 pixels at (100, 50) unless *style* says otherwise."""
    wire = await visit(site, page, html)
    await welcome(wire)
    await add_rule(page, STYLE + style)
    return wire


async def welcome(wire: Wire) -> None:
    """Answer a page that says that it draws cursors."""
    assert await wire.read() == {"type": "cursors"}
    await wire.send("cursors", you="me", rate=30, all=True)
    await told(wire)


async def told(wire: Wire) -> None:
    """Wait until the page has handled all that was sent, and fail if it has sent a frame that was not read."""
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}


async def draw(wire: Wire, *moves: list[Any], **fields: Any) -> None:
    """Let the page draw Ada's cursor, which is number 1, or others."""
    await wire.send("cursors", **({"you": "me", "who": {"1": ADA}, "moves": moves} | fields))


async def drawn(page: Page, *expected: list[Any]) -> None:
    """Wait until these cursors are drawn, and no others."""
    await eventually(page, DRAWN, sorted(expected))
