"""Colours that come from others: a colour is used, and nothing that stands for something else."""

from __future__ import annotations

from html import escape
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.harness import Site, add_rule, board, draw, eventually, visit

COLORS = [
    "red",
    "REBECCAPURPLE",
    "transparent",
    "CanvasText",
    "#abc",
    "#aabbcc80",
    "rgb(1, 2, 3)",
    "rgb(10% 20% 30% / 50%)",
    "rgba(1, 2, 3, 0.4)",
    "hsl(200 70% 50%)",
    "hsla(0.5turn, 70%, 50%, 1)",
    "hwb(200 10% 20%)",
    "lab(50% 40 59)",
    "lch(50% 70 50)",
    "oklab(59% 0.1 0.1)",
    "oklch(0.7 0.2 330)",
    "color(display-p3 1 0.5 0)",
    "color-mix(in oklab, red 30%, #00f)",
    "light-dark(red, blue)",
    "rgb(from green calc(r + 20) g b)",
    "rgb(calc(10 * 2) min(3, 4) 5)",
    "  gold\n",
]
OTHERS: list[Any] = [
    "",
    " ",
    "no colour",
    "red blue",
    "red; inset: 0",
    "red } * { display: none",
    "red !important",
    "5px",
    "none",
    "auto",
    # These take the value of something else.
    "inherit",
    "INITIAL",
    "unset",
    "revert",
    "revert-layer",
    "var(--picture)",
    "VAR(--picture)",
    "var(--none, url(/fetched))",
    "var(--none,)",
    "v\\61r(--picture)",
    "\\000076 ar(--picture)",
    "var(/**/--picture)",
    "red var(--picture)",
    "var(--none,/*",
    "rgb(var(--none, 1 2 3))",
    "color-mix(in srgb, red, var(--picture))",
    "light-dark(var(--picture), red)",
    "rgb(from var(--picture) r g b)",
    "calc(var(--picture))",
    "env(--none, url(/fetched))",
    "env(safe-area-inset-top)",
    "e\\6ev(x, url(/fetched))",
    "if(else: url(/fetched))",
    "if(style(--picture): red; else: url(/fetched))",
    "i\\66(else: url(/fetched))",
    "attr(data-picture type(*))",
    "attr(data-picture, url(/fetched))",
    "\\61ttr(data-picture type(<color>), url(/fetched))",
    "--own(url(/fetched))",
    "inherit(--picture)",
    "random-item(x, url(/fetched), red)",
    # These fetch something.
    "url(/fetched)",
    "url('/fetched')",
    "url(/fetched) red",
    "red url(/fetched)",
    "u\\72l(/fetched)",
    "\\75\\72\\6c(/fetched)",
    "src('/fetched')",
    "image-set('/fetched' 1x)",
    "-webkit-image-set(url(/fetched) 1x)",
    "image('/fetched', red)",
    "cross-fade(url(/fetched), red)",
    "element(#x)",
    "paint(x)",
    "linear-gradient(red, blue)",
    "light-dark(url(/fetched), url(/fetched))",
    "light-dark(image-set('/fetched' 1x), red)",
    "url(/fetched",
    "/*", "red /* */ url(/fetched)",
    "red\nurl(/fetched)",
    "red\0",
    "\ud7ff\uffff",
]  # fmt: skip
# Not text at all: cursors get theirs as JSON.
NO_TEXTS: list[Any] = [None, True, 5, ["red"], [["red"]], {}, {"toString": 1, "valueOf": 1}, {"color": "red"}]
RULES = """
    html { --picture: url(/fetched) }
    b { display: block; height: 2px; background: var(--presence-color) }
    b::after { content: ""; background-image: var(--presence-color) }
"""
OF_ELEMENTS = """
Array.from(document.querySelectorAll("b"), (element) => element.style.getPropertyValue("--presence-color"))
"""
OF_CURSORS = """
Array.from(document.querySelector("presence-cursors").shadowRoot.querySelectorAll(".look"), ({ style, textContent }) =>
  [Number(textContent), style.getPropertyValue("--presence-color")]).sort(([a], [b]) => a - b).map(([, color]) => color)
"""
# As what the browser itself takes each of them for.
SHADES = """
(colors) => {
  const shade = (color) => {
    const element = document.body.appendChild(document.createElement("i"));
    element.style.backgroundColor = color;
    const { backgroundColor } = getComputedStyle(element);
    element.remove();
    return backgroundColor;
  };
  return colors.map(shade);
}
"""


def elements(colors: list[Any]) -> str:
    return "".join(f'<b data-picture="url(/fetched)" data-presence-color="{escape(c)}"></b>' for c in colors)


async def looks(page: Page, colors: list[Any]) -> None:
    """So many cursors are drawn, with these colours."""
    await eventually(page, f"{OF_CURSORS}.length", len(colors))
    assert await page.evaluate(OF_CURSORS) == colors


async def test_an_element_is_painted_with_a_colour(site: Site, page: Page) -> None:
    await visit(site, page, elements([*COLORS, "currentcolor"]))
    await add_rule(page, RULES)
    painted = await page.evaluate(OF_ELEMENTS)
    assert painted[-1] == "currentcolor"
    assert all(painted)
    assert await page.evaluate(SHADES, painted[:-1]) == await page.evaluate(SHADES, COLORS)


async def test_an_element_is_painted_with_nothing_but_a_colour(site: Site, page: Page) -> None:
    await visit(site, page, elements(OTHERS))
    await add_rule(page, RULES)
    painted = await page.evaluate(OF_ELEMENTS)
    assert {other: color for other, color in zip(OTHERS, painted, strict=True) if color} == {}
    await page.screenshot()
    assert "GET /fetched" not in site.requests


@pytest.mark.parametrize("color", ["/* a */ red /* b", "r\\65 d", "rgb(255 0 0", "\tred\r\n"])
async def test_a_colour_is_used_as_the_browser_writes_it(site: Site, page: Page, color: str) -> None:
    wire = await board(site, page, f"{elements([color])}<live-cursors><main></main></live-cursors>", RULES)
    await draw(wire, [1, 1, 1], who={"1": {"id": "a", "name": "1", "color": color}})
    (painted,) = await page.evaluate(OF_ELEMENTS)
    assert painted in ("red", "rgb(255, 0, 0)")
    await looks(page, [painted])


async def test_an_elements_colour_changes_and_goes(site: Site, page: Page) -> None:
    wire = await visit(site, page, elements(["red"]))
    for color, expected in [("blue", "blue"), ("var(--picture)", ""), ("lime", "lime"), ("", "")]:
        await wire.render(elements([color]))
        await eventually(page, OF_ELEMENTS, [expected])
    await wire.render(elements(["red"]))
    await eventually(page, OF_ELEMENTS, ["red"])
    await wire.render("<b></b>")
    await eventually(page, OF_ELEMENTS, [""])


@pytest.mark.parametrize("colors", [COLORS, OTHERS[:40], OTHERS[40:] + NO_TEXTS], ids=["some", "none", "no"])
async def test_a_cursor_has_a_colour_and_nothing_but_a_colour(
    site: Site, page: Page, colors: list[Any]
) -> None:
    style = "presence-cursors { --picture: url(/fetched) }"
    wire = await board(site, page, style=style)
    who = {str(n): {"id": f"p{n}", "name": str(n), "color": color} for n, color in enumerate(colors)}
    await draw(wire, *([n, n, n] for n in range(len(colors))), who=who)
    await eventually(page, f"{OF_CURSORS}.length", len(colors))
    drawn = await page.evaluate(OF_CURSORS)
    if colors is COLORS:
        assert await page.evaluate(SHADES, drawn) == await page.evaluate(SHADES, COLORS)
    else:
        assert [pair for pair in zip(colors, drawn, strict=True) if pair[1]] == []
    await page.screenshot()
    assert "GET /fetched" not in site.requests


@pytest.mark.parametrize("color", ["currentcolor", "color-mix(in srgb, currentColor, red)"])
async def test_a_cursor_has_no_text_around_it_that_has_a_colour(site: Site, page: Page, color: str) -> None:
    wire = await board(site, page)
    await draw(wire, [1, 1, 1], who={"1": {"id": "a", "name": "1", "color": color}})
    await looks(page, [""])
    label = page.locator("presence-cursors .label")
    await expect(label).to_have_css("background-color", "rgb(91, 91, 214)")
