"""With DEBUG a page is read as a browser reads it: the same elements are where they were printed, or are not."""

from __future__ import annotations

import random

import pytest
from playwright.async_api import Page

from djust_presence.live.nesting import HtmlReader
from djust_presence.live.stack import Printed

NAMES = "live-region div p span ul li tbody tr td table g section caption h2 button".split()  # noqa: SIM905
TAGS = """
div p span ul li table tbody thead tr td th caption colgroup option optgroup svg g h1 h2 dl dt dd button form section
br hr style textarea title script br img iframe details object
""".split()  # noqa: SIM905
AROUND = [
    "<table>",
    "<table><tr>",
    "<table><tr><td>",
    "<svg>",
    "<svg><foreignObject>",
    "<p>",
    "<ul><li>",
    "<table><tbody>",
]

# Whether the region is there, with all that was printed in it and nothing else, and in the same table and drawing.
IS_THERE = """
(pages) => pages.map(([html, name]) => {
  const page = new DOMParser().parseFromString(html, "text/html");
  const nodes = [];
  const walk = page.createNodeIterator(page, NodeFilter.SHOW_ALL);
  for (let node; (node = walk.nextNode()); ) nodes.push(node);
  const region = nodes.find((node) => node instanceof Element && node.hasAttribute("live-region"));
  if (region?.localName !== name) return false;
  const [before, first, last, after] = ["before", "first", "last", "after"].map((text) =>
    nodes.find((node) => node instanceof Comment && node.data === text),
  );
  const printed = nodes.filter((node) =>
    node instanceof Element ? node.hasAttribute("within") : node instanceof Text && node.data.includes("§"),
  );
  return (
    Boolean(before && first && last && after) &&
    first.parentNode === region && region.contains(last) && !region.contains(after) &&
    printed.every((node) => region.contains(node)) &&
    ["table", "svg"].every((name) => before.parentElement?.closest(name)?.contains(region) ?? true) &&
    (region.namespaceURI.endsWith("xhtml") || name === "g") && (name !== "g" || region.namespaceURI.endsWith("svg"))
  );
})
"""


def pieces(chance: random.Random, most: int, text: str, attribute: str) -> str:
    found, begun = [], []
    for _ in range(chance.randrange(most)):
        kind = chance.random()
        if kind < 0.45:
            begun.append(chance.choice(TAGS))
            found.append(f"<{begun[-1]}{attribute}>")
        elif kind < 0.8 and begun:
            found.append(f"</{begun.pop()}>")
        elif kind < 0.85:
            found.append(f"</{chance.choice(TAGS)}>")
        else:
            found.append(text)
    if chance.random() < 0.7:
        found += [f"</{name}>" for name in reversed(begun)]
    return "".join(found)


def any_page(chance: random.Random) -> tuple[str, Printed]:
    name = chance.choice(NAMES) if chance.random() < 0.6 else "live-region"
    start = chance.choice(["", "<!doctype html>"]) + pieces(chance, 7, "x", "")
    if chance.random() < 0.6:
        start += chance.choice(AROUND)
    start += "<!--before-->"
    content = f"<{name} live-region><!--first-->{pieces(chance, 6, '§', ' within')}<!--last-->"
    rest = f"</{name}><!--after-->{pieces(chance, 4, 'x', '')}"
    return start + content + rest, Printed(len(start), len(start + content), name)


@pytest.mark.parametrize("seed", range(3))
async def test_only_an_element_that_a_browser_does_not_find_is_a_fault(page: Page, seed: int) -> None:
    chance = random.Random(seed)
    pages = [any_page(chance) for _ in range(2000)]
    found = await page.evaluate(IS_THERE, [[html, printed.name] for html, printed in pages])
    differing = []
    for (html, printed), is_there in zip(pages, found, strict=True):
        reader = HtmlReader(html, [printed])
        reader.read()
        if is_there is bool(reader.faults):
            differing.append((html, reader.faults))
    assert 300 < sum(found) < 1500
    assert not differing, "\n".join(
        f"{html}\n    {faults}" for html, faults in sorted(differing, key=lambda one: len(one[0]))[:10]
    )
