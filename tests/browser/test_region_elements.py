"""Regions that are elements of their own: rows of a table, shapes of an SVG, the options of a select."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.harness import STATE, Site, Wire, eventually, render

TABLE = '<table><thead><tr><th>n</th></tr></thead><tbody id="live-1" live-region="live-1">{}</tbody></table>'


async def visit(site: Site, page: Page, body: str) -> Wire:
    site.body = body
    await page.goto(site.url, wait_until="domcontentloaded")
    wire = await site.wire()
    await wire.ready()
    await eventually(page, STATE, "live")
    return wire


async def test_rows_of_a_tbody_come_and_go_and_stay_the_same(site: Site, page: Page) -> None:
    wire = await visit(site, page, TABLE.format("<tr><td>0</td></tr>"))
    await page.evaluate(
        """() => {
             const region = document.querySelector("tbody");
             region.classList.add("mine");
             region.rows[0].classList.add("first");
           }"""
    )
    numbers = list(range(21))
    for last in numbers[1:]:
        await render(wire, page, "\n".join(f"<tr><td>{n}</td></tr>" for n in numbers[: last + 1]))
    await expect(page.locator("table > tbody > tr > td")).to_have_text([str(n) for n in numbers])
    await render(wire, page, "".join(f"<tr><td>{n}" for n in numbers[::2]))  # end tags may be left out
    await expect(page.locator("table > tbody > tr > td")).to_have_text([str(n) for n in numbers[::2]])
    await expect(page.locator("table > *")).to_have_count(2)
    await expect(page.locator("tbody")).to_have_class("mine")
    await expect(page.locator("tr.first")).to_have_text("0")
    await render(wire, page, "")
    await expect(page.locator("td")).to_have_count(0)


CASES = {
    "tr": ("<table><tr {}>{}</tr></table>", "<td>{0}<th>{0}", "<td>{0}</td><th>{0}</th>"),
    "table": ("<table {}>{}</table>", "<tr><td>{0}", "<tbody><tr><td>{0}</td></tr></tbody>"),
    "thead": ("<table><thead {}>{}</thead></table>", "<tr><th>{0}", "<tr><th>{0}</th></tr>"),
    "colgroup": ("<table><colgroup {}>{}</colgroup></table>", '<col class="c{0}">', '<col class="c{0}">'),
    "caption": ("<table><caption {}>{}</caption></table>", "<b>{0}</b>", "<b>{0}</b>"),
    "ul": ("<ul {}>{}</ul>", "<li>{0}<li>{0}", "<li>{0}</li><li>{0}</li>"),
    "select": ("<select {}>{}</select>", "<option>{0}<option>b", "<option>{0}</option><option>b</option>"),
    "optgroup": ("<select><optgroup {}>{}</optgroup></select>", "<option>{0}", "<option>{0}</option>"),
    "datalist": ("<datalist {}>{}</datalist>", '<option value="{0}">', '<option value="{0}"></option>'),
    "div": ("<div {}>{}</div>", "<div>{0}</div><p>{0}", "<div>{0}</div><p>{0}</p>"),
    "p": ("<p {}>{}</p>", "<i>{0}</i>", "<i>{0}</i>"),
    "g": (
        "<svg><g {}>{}</g></svg>",
        '<rect width="{0}"/><text>{0}</text>',
        '<rect width="{0}"></rect><text>{0}</text>',
    ),
    "svg": (
        "<svg {}>{}</svg>",
        "<foreignObject><p>{0}</p></foreignObject>",
        "<foreignObject><p>{0}</p></foreignObject>",
    ),
}


@pytest.mark.parametrize(("around", "html", "shown"), CASES.values(), ids=CASES)
async def test_the_content_of_a_region_is_read_as_that_of_its_element(
    site: Site, page: Page, around: str, html: str, shown: str
) -> None:
    body = around.format('live-region="live-1" class="x"', html.format(0))
    wire = await visit(site, page, body)
    content = "document.querySelector('[live-region]').innerHTML"
    assert await page.evaluate(content) == shown.format(0)
    child = "document.querySelector('[live-region] > *')"
    await page.evaluate(
        f"window.child = {child}; document.querySelector('[live-region]').classList.add('mine')"
    )
    for turn in (1, 2):
        await render(wire, page, html.format(turn))
        assert await page.evaluate(content) == shown.format(turn)
    assert await page.evaluate(f"{child} === window.child")
    spaces = "Array.from(document.querySelectorAll('[live-region] *'), ({namespaceURI}) => namespaceURI)"
    parsed = f"html => {{ document.body.innerHTML = html; return {spaces}; }}"
    got = await page.evaluate(spaces)
    await expect(page.locator("[live-region]")).to_have_class("x mine")
    assert got == await page.evaluate(parsed, around.format("live-region", html.format(2)))


async def test_shapes_of_a_g_are_drawn(site: Site, page: Page) -> None:
    shape = '<rect width="{0}" height="10"/><text y="20">{0}</text>'
    wire = await visit(
        site, page, f'<svg width="100" height="50"><g live-region="live-1">{shape.format(20)}</g></svg>'
    )
    await render(wire, page, shape.format(40) + '<circle r="5"/>')
    assert await page.evaluate("document.querySelector('rect').getBBox().width") == 40
    assert await page.evaluate("document.querySelector('circle') instanceof SVGCircleElement")
    box = await page.locator("circle").bounding_box()
    assert box is not None
    assert box["width"] == 10


async def test_a_choice_in_a_select_that_is_a_region_stays(site: Site, page: Page) -> None:
    options = "<option>a</option><option>b</option>"
    wire = await visit(site, page, f'<select name="s" live-region="live-1">{options}</select>')
    await page.locator("select").select_option("b")
    await render(wire, page, f"<option>new</option>{options}")
    await expect(page.locator("select")).to_have_value("b")
    await render(wire, page, "<option>new</option><option>a</option>")
    await expect(page.locator("select")).to_have_value("new")


async def test_two_regions_of_a_table_are_patched_and_are_those_of_the_page(site: Site, page: Page) -> None:
    body = '<tbody id="{0}" live-region="{0}">{1}</tbody>'
    row = "<tr><td>{}</td></tr>"
    both = body.format("live-1", row.format(1)) + body.format("live-2", row.format(2))
    wire = await visit(site, page, f"<table>{both}</table>")
    await wire.send("render", regions={"live-1": row.format("one"), "live-2": row.format("two")})
    await expect(page.locator("td")).to_have_text(["one", "two"])
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}  # and not that it wants the page
    one = body.format("live-2", row.format("second"))
    await page.evaluate("window.second = document.querySelectorAll('tbody')[1]")
    await wire.send("render", regions={"*": f"<body><table>{one}</table></body>"})
    await expect(page.locator("td")).to_have_text(["second"])
    assert await page.evaluate("document.querySelector('tbody') === window.second")
    await wire.send("render", regions={"live-2": row.format("more")})
    await expect(page.locator("td")).to_have_text(["more"])


async def test_a_tbody_that_was_swapped_as_a_whole_is_patched(site: Site, page: Page) -> None:
    wire = await visit(site, page, TABLE.format("<tr><td>0</td></tr>"))
    await page.evaluate(
        """() => {
             const table = document.createElement("table");
             table.innerHTML = '<tbody id="live-1" live-region="live-1"><tr><td>swap</td></tr><tr></tr></tbody>';
             document.querySelector("tbody").replaceWith(table.firstChild);
           }"""
    )
    await render(wire, page, "<tr><td>1</td></tr>")
    assert await page.locator("tbody").inner_html() == "<tr><td>1</td></tr>"


@pytest.mark.parametrize("name", ["id", "matches", "contains", "querySelectorAll", "getAttribute"])
async def test_a_form_that_is_a_region_is_patched_whatever_its_fields_are_named(
    site: Site, page: Page, name: str
) -> None:
    fields = f'<input name="{name}"><input name="other" value="{{0}}"><b data-presence-color="red">{{0}}</b>'
    wire = await visit(site, page, f'<form live-region="live-1">{fields.format(0)}</form>')
    # Playwright's own actions ask a form for what is hidden here.
    await page.evaluate("document.querySelector('input').focus()")
    await page.keyboard.type("typed")
    await render(wire, page, fields.format(1))
    values = "Array.from(document.querySelectorAll('input'), ({ value }) => value)"
    assert await page.evaluate(values) == ["typed", "1"]
    bold = "document.querySelector('b')"
    assert await page.evaluate(f"[{bold}.textContent, {bold}.style.cssText]") == [
        "1",
        "--presence-color: red;",
    ]
