"""Scripts of others, each in its own typical use while twenty others come and go."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.async_api import Page, expect

from tests.browser.harness import Site, Wire, eventually, region, render, visit

OTHERS = 20
STYLES = "; style-src 'self' 'unsafe-inline'"
Use = Callable[..., None]


def room(html: str, count: int) -> str:
    """A region with this in it, and who is there around it."""
    people = "".join(f'<li id="person-{number}">Person {number}</li>' for number in range(count))
    return (
        f'<p class="count">{count} online</p>{html}<ul class="people">{people}</ul><footer>{count}</footer>'
    )


async def come(wire: Wire, page: Page, html: str) -> None:
    for count in range(2, OTHERS + 2):
        await render(wire, page, room(html, count))


async def go(wire: Wire, page: Page, html: str) -> None:
    for count in range(OTHERS, 0, -1):
        await render(wire, page, room(html, count))
    await expect(page.locator(".count")).to_have_text("1 online")
    await expect(page.locator(".people li")).to_have_count(1)


async def test_alpine(site: Site, page: Page, use: Use) -> None:
    use("alpine-csp.js")
    html = """
    <div x-data="{ open: false, names: ['a', 'b'] }" x-cloak>
      <button @click="open = !open" :class="open ? 'on' : 'off'">toggle</button>
      <section x-show="open"><template x-for="name in names"><b x-text="name"></b></template></section>
      <template x-if="open"><i>open</i></template>
    </div>"""
    wire = await visit(site, page, room(html, 1))
    await expect(page.locator("b")).to_have_text(["a", "b"])
    await come(wire, page, html)
    await page.locator("button").click()
    await go(wire, page, html)
    await expect(page.locator("b")).to_have_text(["a", "b"])
    await expect(page.locator("section, i")).to_have_count(2)
    await expect(page.locator("button")).to_have_class("on")
    await page.locator("button").click()
    await expect(page.locator("i")).to_have_count(0)
    await expect(page.locator("section")).to_be_hidden()


async def test_chart_js(site: Site, page: Page, use: Use) -> None:
    use("chart.js")
    html = '<section><canvas width="300" height="150"></canvas></section>'
    wire = await visit(site, page, room(html, 1))
    await page.evaluate(
        """() => {
          const data = {labels: ["a", "b"], datasets: [{data: [1, 2], backgroundColor: "#000"}]};
          window.chart = new Chart(document.querySelector("canvas"), {type: "bar", data, options: {animation: false}});
        }"""
    )
    picture = "document.querySelector('canvas').toDataURL()"
    drawn = await page.evaluate(picture)
    await come(wire, page, html)
    assert await page.evaluate(picture) == drawn
    await page.evaluate("chart.data.datasets[0].data = [2, 1]; chart.update()")
    other = await page.evaluate(picture)
    assert other != drawn
    await go(wire, page, html)
    assert await page.evaluate(picture) == other
    assert await page.evaluate("chart.canvas === document.querySelector('canvas')")


async def test_flatpickr(site: Site, page: Page, use: Use) -> None:
    use("flatpickr.js")
    site.policy += STYLES
    html = '<form><label>When <input name="when" value="2026-01-02"></label></form>'
    wire = await visit(site, page, room(html, 1))
    await page.evaluate("flatpickr('[name=when]', {altInput: true, altFormat: 'd/m/Y'})")
    shown = page.locator("label input:not([name])")
    await shown.click()
    await come(wire, page, html)
    # The calendar is open all the while.
    await page.locator(".flatpickr-day:not(.prevMonthDay)", has_text="14").first.click()
    await go(wire, page, html)
    await expect(shown).to_have_value("14/01/2026")
    await expect(page.locator("[name=when]")).to_have_value("2026-01-14")


async def test_tom_select(site: Site, page: Page, use: Use) -> None:
    use("tom-select.js")
    html = '<select name="tags" multiple><option value="a">A</option><option value="b">B</option></select>'
    wire = await visit(site, page, room(html, 1))
    await page.evaluate("window.widget = new TomSelect('select', {})")
    await page.locator(".ts-control").click()
    await page.keyboard.type("B")
    await come(wire, page, html)
    await page.locator(".option", has_text="B").click()
    await go(wire, page, html)
    await expect(page.locator(".ts-wrapper .item")).to_have_text(["B"])
    chosen = "Array.from(document.querySelector('select').selectedOptions, ({value}) => value)"
    assert await page.evaluate(chosen) == ["b"]
    await page.evaluate("widget.addItem('a')")
    assert await page.evaluate(chosen) == ["b", "a"]  # it moves what it chooses to the end
    await expect(page.locator(".ts-wrapper .item")).to_have_text(["B", "A"])


async def test_sortable(site: Site, page: Page, use: Use) -> None:
    def tasks(*names: str) -> str:
        return f"<ol>{''.join(f'<li id={name}>{name}</li>' for name in names)}</ol>"

    use("sortable.js")
    html = tasks("a", "b", "c", "d")
    wire = await visit(site, page, room(html, 1))
    await page.evaluate(
        "window.sortable = new Sortable(document.querySelector('ol'), {forceFallback: true, animation: 0})"
    )
    order = "window.sortable.toArray().length && Array.from(document.querySelectorAll('ol > li:not(.sortable-fallback)'), ({id}) => id).join('')"

    async def middle(name: str) -> tuple[float, float]:
        box = await page.locator(f"#{name}:not(.sortable-fallback)").bounding_box()
        assert box
        return box["x"] + 20, box["y"] + box["height"] / 2

    await page.mouse.move(*await middle("a"))
    await page.mouse.down()
    x, y = await middle("c")
    await page.mouse.move(x, y, steps=5)
    await page.mouse.move(x, y + 4, steps=5)
    await eventually(page, order, "bcad")
    await expect(page.locator(".sortable-fallback")).to_have_count(1)
    # Still dragging.
    await come(wire, page, html)
    assert await page.evaluate(order) == "bcad"
    await expect(page.locator(".sortable-fallback")).to_have_count(1)
    x, y = await middle("d")
    await page.mouse.move(x, y, steps=5)
    await page.mouse.move(x, y + 4, steps=5)
    await page.mouse.up()
    await eventually(page, order, "bcda")
    await go(wire, page, html)
    assert await page.evaluate(order) == "bcda"
    await expect(page.locator(".sortable-fallback")).to_have_count(0)
    # The view has been told, and says the same; then somebody else sorts.
    await render(wire, page, room(tasks("b", "c", "d", "a"), 1))
    assert await page.evaluate(order) == "bcda"
    await render(wire, page, room(tasks("d", "a", "e", "b"), 1))
    assert await page.evaluate(order) == "daeb"


HTMX_CONFIG = """<meta name="htmx-config" content='{"includeIndicatorStyles": false}'>"""


@pytest.mark.parametrize("version", [2, 4])
async def test_htmx_swaps_in_and_around_a_region(site: Site, page: Page, use: Use, version: int) -> None:
    site.head = HTMX_CONFIG
    use(f"htmx-{version}.js")
    site.plain |= {"/part": "<b>part</b>", "/row": '<li id="row">swapped <input name="t"></li>'}
    html = (
        '<button id="get" hx-get="/part" hx-target="#out">get</button><div id="out"></div>'
        '<ul><li id="row">first <input name="t"></li></ul>'
        '<button id="outer" hx-get="/row" hx-target="#row" hx-swap="outerHTML">row</button>'
    )
    site.body = (
        f'<button id="around" hx-get="/part" hx-target="#outside">get</button><div id="outside"></div>'
        f"{region(room(html, 1))}"
    )
    await page.goto(site.url)
    wire = await site.wire()
    await wire.ready()
    await come(wire, page, html)
    for name in ("get", "outer", "around"):
        async with page.expect_response("**/row" if name == "outer" else "**/part"):
            await page.locator(f"#{name}").click()
    await expect(page.locator("#row")).to_contain_text("swapped")
    await page.locator("[name=t]").fill("typed")
    await go(wire, page, html)
    await expect(page.locator("#out b, #outside b")).to_have_text(["part", "part"])
    await expect(page.locator("#row")).to_have_count(1)
    await expect(page.locator("#row")).to_contain_text("swapped")
    await expect(page.locator("[name=t]")).to_have_value("typed")
    # What the server's own HTML changes is the server's.
    await render(wire, page, room(html.replace("first", "second"), 1))
    await expect(page.locator("#row")).to_contain_text("second")
    await expect(page.locator("[name=t]")).to_have_value("typed")


@pytest.mark.parametrize("style", ["innerMorph", "outerMorph"])
async def test_htmx_4_morphs_in_a_region(site: Site, page: Page, use: Use, style: str) -> None:
    site.head = HTMX_CONFIG
    use("htmx-4.js")
    inner = '<input id="field" name="t"><b>{}</b>'
    site.plain["/part"] = (inner if style == "innerMorph" else f'<div id="out">{inner}</div>').format(
        "morphed"
    )
    html = (
        f'<button hx-get="/part" hx-target="#out" hx-swap="{style}">get</button><div id="out">{inner}</div>'
    )
    wire = await visit(site, page, room(html.format("first"), 1))
    await come(wire, page, html.format("first"))
    await page.locator("#field").fill("typed")
    await page.locator("button").click()
    await expect(page.locator("b")).to_have_text("morphed")
    await go(wire, page, html.format("first"))
    await expect(page.locator("b")).to_have_text("morphed")
    await expect(page.locator("#field")).to_have_value("typed")
    await render(wire, page, room(html.format("second"), 1))
    await expect(page.locator("b")).to_have_text("second")
    await expect(page.locator("#field")).to_have_count(1)
    await expect(page.locator("#field")).to_have_value("typed")


@pytest.mark.parametrize("version", [2, 4])
async def test_htmx_preserves_and_goes_back(site: Site, page: Page, use: Use, version: int) -> None:
    site.head = HTMX_CONFIG
    use(f"htmx-{version}.js")
    player = '<div id="player" hx-preserve><i></i></div>'
    link = '<a id="{0}" href="{1}" hx-boost="true">{0}</a>'
    first, second = player + link.format("on", "/next"), player + link.format("back", "/")
    site.pages["/next"] = region(room(second, 1))
    wire = await visit(site, page, room(first, 1))
    await page.evaluate("document.querySelector('#player').append('playing')")
    await come(wire, page, first)
    await go(wire, page, first)
    await page.locator("#on").click()
    wire = await site.wire()
    assert wire.url == "/next"
    await wire.ready()
    await come(wire, page, second)
    await go(wire, page, second)
    await expect(page.locator("#player")).to_have_text("playing")
    await page.go_back()
    wire = await site.wire()
    assert wire.url == "/"
    await wire.ready()
    await come(wire, page, first)
    await go(wire, page, first)
    await expect(page.locator("#on")).to_have_count(1)
    await expect(page.locator("#back")).to_have_count(0)
    await expect(page.locator("#player")).to_have_count(1)
