"""Which element of the new HTML is which of the page, and what of the server's changes is applied."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import NewPage
from tests.browser.harness import STATE, Site, eventually, listen, region, render, visit

FUZZ = Path(__file__).parent / "harness" / "fuzz.js"
FIRST = "document.querySelector('live-region').firstElementChild"

# What an element of a form, or an image, may be named, and so hides of its form or the document.
NAMES = [
    "id",
    "attributes",
    "tagName",
    "localName",
    "elements",
    "matches",
    "closest",
    "childNodes",
    "parentNode",
    "nextSibling",
    "isConnected",
    "setAttribute",
    "getAttribute",
    "hasAttribute",
    "removeAttribute",
    "getAttributeNames",
    "querySelectorAll",
    "insertBefore",
    "dispatchEvent",
    "style",
    "nodeType",
    "innerHTML",
]


async def content(page: Page) -> str:
    return await page.locator("live-region").inner_html()


@pytest.mark.parametrize("name", NAMES)
async def test_a_form_stays_whatever_its_fields_are_named(site: Site, page: Page, name: str) -> None:
    form = (
        '<form id="f" class="{0}" data-presence-color="red" dj-submit="save" dj-value-extra="1">'
        f'<input name="{name}"><input name="other">'
        "<button>Save</button></form><p>{0}</p>"
    )
    wire = await visit(site, page, form.format("a"))
    # Playwright's own actions ask a form for what is hidden here.
    await page.evaluate("window.form = document.querySelector('form')")
    await page.evaluate("document.querySelector('[name=other]').focus()")
    await page.keyboard.type("typed")
    for turn in ("b", "c"):
        await render(wire, page, form.format(turn))
        assert await page.locator("p").text_content() == turn
        assert await page.locator(f"form.{turn}").count() == 1
    assert await page.evaluate("window.form === document.querySelector('form')")
    value = "document.querySelector('[name=other]').value"
    assert await page.evaluate(value) == "typed"
    await page.keyboard.press("Enter")
    frame = await wire.read()
    assert frame["params"] == {name: "", "other": "typed", "extra": "1", "_target": None}
    await wire.send("ack", ref=frame["ref"])
    await eventually(page, value, "")
    assert await page.locator("[data-presence-pending], [aria-disabled]").count() == 0


@pytest.mark.parametrize(
    "name",
    [
        "currentScript",
        "body",
        "head",
        "documentElement",
        "activeElement",
        "createElement",
        "querySelector",
        "addEventListener",
        "dispatchEvent",
        "implementation",
        "importNode",
        "createTreeWalker",
        "title",
        "adoptedStyleSheets",
        "visibilityState",
        "getElementsByTagName",
        "elementFromPoint",
    ],
)
async def test_an_image_changes_nothing_whatever_it_is_named(site: Site, page: Page, name: str) -> None:
    site.plain["/evil.js"] = "window.evil = true"
    image = f'<img name="{name}" data-engine="/evil.js" data-cursors="/evil.js" data-socket-prefix="/evil" alt="">'
    site.body = region("<p>0</p>")
    site.body = image + site.body + image
    await page.goto(site.url)
    wire = await site.wire()
    assert wire.url == "/"
    await wire.ready()
    await wire.render("<live-cursors><p>1</p></live-cursors>")
    await page.wait_for_selector("presence-cursors", state="attached")
    await expect_text(page, "p", "1")
    await wire.render(f"<!doctype html><title>New</title>{image}<h1>2</h1>", "*")
    await expect_text(page, "h1", "2")
    assert "GET /evil.js" not in site.requests


async def expect_text(page: Page, selector: str, text: str) -> None:
    """Playwright's own assertions use the document that is hidden here."""
    await page.locator(selector, has_text=text).wait_for(state="attached")


# --- Which is which


async def test_ignored_elements_without_ids_are_told_apart(site: Site, page: Page) -> None:
    html = '<div dj-update="ignore">{0}</div>'
    wire = await visit(site, page, html.format("one") + html.format("two"))
    await page.evaluate(f"{FIRST}.append('!')")
    text = "document.querySelector('live-region').textContent"
    await render(wire, page, html.format("zero") + html.format("one") + "<p>new</p>" + html.format("two"))
    assert await page.evaluate(text) == "zeroone!newtwo"
    await render(wire, page, "<div>plain</div>" + html.format("one") + html.format("two"))
    assert await page.evaluate(text) == "plainone!two"
    await render(wire, page, "<div>plain</div><div>more</div>" + html.format("two"))
    assert await page.evaluate(text) == "plainmoretwo"
    await render(wire, page, html.format("two") + html.format("three"))
    assert await page.evaluate(text) == "twothree"


async def test_an_element_that_is_no_longer_ignored_follows(site: Site, page: Page) -> None:
    wire = await visit(site, page, '<div id="a" dj-update="ignore"><b>0</b></div>')
    await page.evaluate(f"{FIRST}.append('mine')")
    await render(wire, page, '<div id="a" dj-update="ignore"><b>1</b></div>')
    assert await page.locator("#a").text_content() == "0mine"
    await render(wire, page, '<div id="a"><b>2</b></div>')
    assert await page.locator("#a").text_content() == "2mine"


async def test_the_chosen_one_of_options_with_the_same_value_stays(site: Site, page: Page) -> None:
    html = '<select name="s"><option value="">-<option value="1">A<option value="1">B</select><p>{}</p>'
    wire = await visit(site, page, html.format(0))
    for turn, label in enumerate("AB", start=1):
        await page.locator("select").select_option(label=label)
        await render(wire, page, html.format(turn))
        assert await page.evaluate("document.querySelector('select').selectedIndex") == turn


async def test_unlike_neighbours_are_not_mixed_up(site: Site, page: Page) -> None:
    alert, chart = '<div class="alert">Saved</div>', '<div class="map" data-of="{}"></div>'
    wire = await visit(site, page, alert + chart.format("a"))
    await page.evaluate("window.map = document.querySelector('.map'); window.map.append('drawn')")
    await render(wire, page, chart.format("b"))
    assert await page.evaluate("window.map === document.querySelector('.map')")
    assert await content(page) == '<div class="map" data-of="b">drawn</div>'
    await render(wire, page, '<div class="alert error">Not saved</div>' + chart.format("c"))
    assert await page.locator(".map").text_content() == "drawn"
    assert await page.locator(".alert").text_content() == "Not saved"


async def test_fields_without_ids_keep_what_was_typed_when_others_and_errors_come(
    site: Site, page: Page
) -> None:
    row = '<div{}><label>{}</label><input name="{}">{}</div>'
    wire = await visit(site, page, row.format("", "A", "a", "") + row.format("", "B", "b", ""))
    await page.locator("[name=a]").fill("typed a")
    await page.locator("[name=b]").fill("typed b")
    html = row.format("", "N", "new", "") + row.format(' class="error"', "A", "a", "<b>Too long</b>")
    await render(wire, page, html + row.format(' class="error"', "B", "b", "<b>Too short</b>"))
    values = "Array.from(document.querySelectorAll('input'), ({name, value}) => [name, value])"
    assert await page.evaluate(values) == [["new", ""], ["a", "typed a"], ["b", "typed b"]]


@pytest.mark.parametrize("moves", ["moveBefore", "insertBefore"])
async def test_an_element_with_an_id_stays_the_same_wherever_it_goes(
    site: Site, page: Page, moves: str
) -> None:
    if moves == "insertBefore":
        await page.add_init_script("delete Element.prototype.moveBefore")
    card = '<article id="card"><input name="c"></article>'
    wire = await visit(site, page, f"<section>{card}</section><section></section>")
    await page.locator("input").fill("typed")
    await page.evaluate("window.card = document.querySelector('#card')")
    for html in (
        f"<section></section><section>{card}</section>",
        f"<section></section><section><div>new {card}</div></section>",
        f"<main><div><p>{card}</p></div></main>".replace("<p>", "<div>").replace("</p>", "</div>"),
        card,
    ):
        await render(wire, page, html)
        assert await content(page) == html
        assert await page.evaluate("window.card === document.querySelector('#card')")
        assert await page.evaluate("document.activeElement.name") == "c"
        assert await page.locator("input").input_value() == "typed"


async def test_moved_rows_without_ids_are_the_same_rows(site: Site, page: Page) -> None:
    def rows(*names: str) -> str:
        return "<ul>\n" + "".join(f"  <li><b>{name}</b></li>\n" for name in names) + "</ul>"

    wire = await visit(site, page, rows("a", "b", "c", "d"))
    await page.evaluate("document.querySelectorAll('li').forEach((row) => row.mark = row.textContent)")
    await render(wire, page, rows("d", "b", "a", "new", "c"))
    marks = "Array.from(document.querySelectorAll('li'), (row) => [row.textContent, row.mark ?? null])"
    assert await page.evaluate(marks) == [
        *(["d", "d"], ["b", "b"], ["a", "a"]),
        *(["new", None], ["c", "c"]),
    ]
    assert await content(page) == rows("d", "b", "a", "new", "c")


async def test_rows_are_known_by_the_ids_in_them(site: Site, page: Page) -> None:
    def rows(*names: str) -> str:
        return (
            "<ul>" + "".join(f'<li><input id="{name}"> <b>{len(names)}</b></li>' for name in names) + "</ul>"
        )

    wire = await visit(site, page, rows("a", "b", "c"))
    await page.evaluate("document.querySelectorAll('li').forEach((row) => row.mark = row.firstChild.id)")
    await render(wire, page, rows("c", "d", "a", "b"))
    marks = "Array.from(document.querySelectorAll('li'), (row) => [row.firstChild.id, row.mark ?? null])"
    assert await page.evaluate(marks) == [["c", "c"], ["d", None], ["a", "a"], ["b", "b"]]


async def test_ids_that_several_have_tell_nothing_apart(site: Site, page: Page) -> None:
    wire = await visit(site, page, '<p id="x">a</p><p id="x" class="of-b">b</p><i>0</i>')
    await page.evaluate("document.querySelectorAll('p').forEach((one) => one.mark = one.textContent)")
    await render(wire, page, '<p id="x" class="of-b">c</p><p id="x">a</p><p id="x">d</p><i>1</i>')
    marks = "Array.from(document.querySelectorAll('p'), (one) => [one.textContent, one.mark ?? null])"
    assert (await page.evaluate(marks))[1] == ["a", "a"]
    assert await page.locator("p").all_text_contents() == ["c", "a", "d"]


@pytest.mark.parametrize(
    ("html", "other"),
    [
        ('<p id="a">x</p>', '<p id="b">x</p>'),
        ('<p id="a">x</p>', "<p>x</p>"),
        ("<p>x</p>", '<p id="b">x</p>'),
        ("<p>x</p>", "<div>x</div>"),
        ("<button>x</button>", '<button is="x-button">x</button>'),
        ("<p>x</p>", '<p dj-update="ignore">x</p>'),
        ("<svg><a></a></svg>", "<a></a>"),
    ],
)
async def test_another_element_is_a_new_one(site: Site, page: Page, html: str, other: str) -> None:
    wire = await visit(site, page, html)
    await page.evaluate(f"{FIRST}.mark = true")
    await render(wire, page, other)
    assert await content(page) == other
    assert await page.evaluate(f"{FIRST}.mark ?? null") is None


async def test_an_open_element_of_a_group_takes_the_place_of_another(site: Site, page: Page) -> None:
    html = '<details id="{0}" name="group" open><summary>{0}</summary></details>'
    wire = await visit(site, page, html.format("a"))
    await render(wire, page, html.format("b"))
    assert await page.evaluate("document.querySelector('#b').open")


async def test_an_element_that_a_script_put_behind_another_stays_behind_it(site: Site, page: Page) -> None:
    wire = await visit(site, page, '<input name="a"><p>end</p>')
    await page.evaluate(f"{FIRST}.after(document.createElement('u'))")
    await render(wire, page, '<input name="a"><b>new</b><p>end</p>')
    assert await content(page) == '<input name="a"><u></u><b>new</b><p>end</p>'
    await render(wire, page, '<i>first</i><input name="a"><b>new</b>')
    assert await content(page) == '<i>first</i><input name="a"><u></u><b>new</b>'


@pytest.mark.parametrize("moves", ["moveBefore", "insertBefore"])
async def test_an_element_that_a_script_has_wrapped_moves_with_its_wrapper(
    site: Site, page: Page, moves: str
) -> None:
    if moves == "insertBefore":
        await page.add_init_script("delete Element.prototype.moveBefore")
    a, b, c = (f'<input id="{name}">' for name in "abc")
    wire = await visit(site, page, f"<p>{a}{b}</p><div></div>")
    await page.evaluate(
        """() => {
          const [box, field] = [document.createElement("span"), document.querySelector("#b")];
          field.replaceWith(box);
          box.append(field);
        }"""
    )
    await render(wire, page, f"<p>{a}{c}{b}</p><div></div>")
    assert await content(page) == f"<p>{a}{c}<span>{b}</span></p><div></div>"
    await render(wire, page, f"<p>{b}{a}{c}</p><div></div>")
    assert await content(page) == f"<p><span>{b}</span>{a}{c}</p><div></div>"
    await render(wire, page, f"<p>{a}{c}</p><div>{b}</div>")
    assert await page.locator("div > input").get_attribute("id") == "b"


async def test_rows_of_a_whole_page_move(site: Site, page: Page) -> None:
    def rows(names: str) -> str:
        return "<!doctype html><ul>" + "".join(f'<li id="{name}">{name}</li>' for name in names) + "</ul>"

    site.body = rows("abc").removeprefix("<!doctype html>")
    await page.goto(site.url)
    wire = await site.wire()
    await wire.ready()
    await eventually(page, STATE, "live")
    await page.evaluate("document.querySelectorAll('li').forEach((row) => row.mark = row.id)")
    await wire.render(rows("cdab"), "*")
    await expect(page.locator("ul")).to_have_text("cdab")
    marks = "Array.from(document.querySelectorAll('li'), (row) => row.mark ?? null)"
    assert await page.evaluate(marks) == ["c", None, "a", "b"]


# --- What is applied


async def test_details_and_dialogs_are_opened_and_closed_by_the_server_and_by_the_person(
    site: Site, page: Page
) -> None:
    html = (
        '<details{0}><summary>s</summary>x</details><dialog{1}><button id="x">x</button></dialog><i>{2}</i>'
    )
    shown = "[document.querySelector('details').open, document.querySelector('dialog').open]"
    wire = await visit(site, page, html.format("", "", 0))
    await render(wire, page, html.format(" open", " open", 1))
    assert await page.evaluate(shown) == [True, True]
    await page.locator("summary").click()
    await render(wire, page, html.format(" open", " open", 2))
    assert await page.evaluate(shown) == [False, True]
    await render(wire, page, html.format("", "", 3))
    assert await page.evaluate(shown) == [False, False]
    await page.evaluate("document.querySelector('dialog').showModal()")
    await render(wire, page, html.format("", "", 4))
    assert await page.evaluate("document.querySelector('dialog').matches(':modal')")
    await render(wire, page, html.format("", " open", 5))
    await render(wire, page, html.format("", "", 6))
    assert await page.evaluate("document.querySelector('dialog').matches(':modal, [open]')") is False


async def test_elements_that_change_the_page_when_they_come_are_not_doubled(site: Site, page: Page) -> None:
    await page.add_init_script(
        """
        customElements.define("x-gone", class extends HTMLElement { connectedCallback() { this.remove(); } });
        customElements.define("x-away", class extends HTMLElement {
          connectedCallback() { if (this.parentNode !== document.body) document.body.append(this); }
        });
        customElements.define("x-wrap", class extends HTMLElement {
          connectedCallback() {
            if (this.parentNode.localName === "section") return;
            const box = document.createElement("section");
            this.replaceWith(box);
            box.append(this);
          }
        });
        """
    )
    wire = await visit(site, page, "<p>0</p><b>end</b>")
    html = "<p>{0}</p><x-gone>{1}</x-gone><x-away>{0}</x-away><x-wrap>{0}</x-wrap><b>end</b>"
    for turn in (1, 2, 3):
        await render(wire, page, html.format(turn, "same"))
        assert await content(page) == f"<p>{turn}</p><section><x-wrap>{turn}</x-wrap></section><b>end</b>"
        assert await page.locator("body > x-away").all_text_contents() == [str(turn)]
    await render(wire, page, "<b>end</b>")
    assert await content(page) == "<b>end</b>"
    assert await page.locator("x-away").count() == 0


async def test_svg_and_mathml_stay_what_they_are(site: Site, page: Page) -> None:
    svg = '<svg viewBox="0 0 9 9"><g id="g" class="{0}"><path id="p" d="M0 0h{0}"/>{1}</g></svg>'
    math = "<math><mi>x</mi>{0}</math>"
    wire = await visit(site, page, svg.format(1, "") + math.format(""))
    html = svg.format(2, '<use xlink:href="#p"/><title>t</title>') + math.format("<mo>+</mo><mn>1</mn>")
    await render(wire, page, html + "<title>in HTML</title>")
    spaces = """
        Array.from(document.querySelectorAll("live-region *"), ({localName, namespaceURI}) =>
          [localName, namespaceURI.split("/").at(-1).toLowerCase()])
    """
    assert await page.evaluate(spaces) == [
        *(["svg", "svg"], ["g", "svg"], ["path", "svg"], ["use", "svg"], ["title", "svg"]),
        *(["math", "mathml"], ["mi", "mathml"], ["mo", "mathml"], ["mn", "mathml"]),
        ["title", "xhtml"],
    ]
    assert await page.evaluate(
        "document.querySelector('use').getAttributeNS('http://www.w3.org/1999/xlink', 'href')"
    ) == ("#p")
    assert await page.title() == "Harness"
    path = "document.querySelector('path').getTotalLength()"
    assert await page.evaluate(path) == 2
    # Around a shape there is a group, or not.
    for turn, around in enumerate(("{}", "<g><g>{}</g></g>", "<a>{}</a>"), start=3):
        shape = around.format(f'<path id="p" d="M0 0h{turn}"/>')
        row = ("<mi id=x>x</mi>", "<mrow><mi id=x>x</mi></mrow>")[turn % 2]
        await render(wire, page, f'<svg viewBox="0 0 9 9">{shape}</svg><math>{row}</math>')
        assert await page.evaluate(path) == turn
        assert not await page.evaluate(f"({spaces}).filter(([, space]) => space === 'xhtml')")


async def test_a_region_inside_an_svg_is_patched(site: Site, page: Page) -> None:
    site.body = f"<svg>{region('<circle r=1 />')}</svg>"
    await page.goto(site.url)
    wire = await site.wire()
    await wire.ready()
    await render(wire, page, '<circle r="2"/><rect width="3"/>')
    assert await page.evaluate("document.querySelector('rect') instanceof SVGRectElement")
    assert await page.evaluate("document.querySelector('circle').r.baseVal.value") == 2


async def test_declarative_shadow_roots_are_made_and_patched(site: Site, page: Page) -> None:
    card = (
        '<x-card class="{0}"><template shadowrootmode="open"><b>{1}</b><slot></slot></template>{1}</x-card>'
    )
    wire = await visit(site, page, card.format("a", 0))
    inside = "Array.from(document.querySelectorAll('x-card'), (card) => card.shadowRoot?.textContent)"
    assert await page.evaluate(inside) == ["0"]
    await page.evaluate("window.bold = document.querySelector('x-card').shadowRoot.querySelector('b')")
    await render(wire, page, card.format("a", 1))
    assert await page.evaluate(inside) == ["1"]
    await render(wire, page, card.format("a", 2) + card.format("b", 3))
    assert await page.evaluate(inside) == ["2", "3"]
    await render(wire, page, card.format("a", 4) + card.format("b", 5))
    assert await page.evaluate(inside) == ["4", "5"]
    assert await page.evaluate("window.bold.isConnected")
    assert await content(page) == '<x-card class="a">4</x-card><x-card class="b">5</x-card>'


async def test_custom_elements_in_a_shadow_root_that_comes_with_a_patch_are_defined(
    site: Site, page: Page
) -> None:
    await page.add_init_script(
        """
        customElements.define("x-in", class extends HTMLElement { connectedCallback() { this.title = "defined"; } });
        customElements.define("x-card", class extends HTMLElement {
          connectedCallback() { this.title = this.shadowRoot?.querySelector("x-in") ? "with its root" : "bare"; }
        });
        """
    )
    card = '<x-card><template shadowrootmode="open"><x-in></x-in></template></x-card>'
    wire = await visit(site, page, "<p></p>")
    await render(wire, page, f"<p></p><div>{card}</div>{card}")
    titles = "Array.from(document.querySelectorAll('x-card'), (card) => [card, card.shadowRoot.firstChild].map(({title}) => title))"
    assert await page.evaluate(titles) == [["with its root", "defined"]] * 2


async def test_a_script_that_made_a_shadow_root_keeps_it(site: Site, page: Page) -> None:
    html = "<x-box><p>{}</p></x-box>"
    wire = await visit(site, page, html.format(0))
    await page.evaluate(f"{FIRST}.attachShadow({{mode: 'open'}}).innerHTML = '<slot></slot>'")
    await render(wire, page, html.format(1))
    assert await page.evaluate(f"{FIRST}.shadowRoot.innerHTML") == "<slot></slot>"
    await expect(page.locator("p")).to_have_text("1")


async def test_templates_are_patched_inside(site: Site, page: Page) -> None:
    html = '<template><p class="{0}">x<b>{0}</b></p><template>{0}</template></template>'
    wire = await visit(site, page, html.format(0))
    for turn in (1, 2):
        await render(wire, page, html.format(turn))
        assert await content(page) == html.format(turn)


async def test_attributes_that_only_parsers_take_are_patched(site: Site, page: Page) -> None:
    html = '<p @click="{0}" :class="{0}" x-on:click.away="{0}">x</p>'
    wire = await visit(site, page, html.format("a"))
    await render(wire, page, html.format("b"))
    assert await content(page) == html.format("b")


async def test_a_style_that_the_policy_refuses_stays_refused(
    site: Site, page: Page, new_page: NewPage
) -> None:
    new_page.allow("Applying inline style violates")
    row = '<li style="color: rgb(1, 2, 3)" data-presence-color="{0}">{0}</li>'
    wire = await visit(site, page, row.format("red"))
    await render(wire, page, row.format("blue") + "<hr>" + row.format("red"))
    await render(wire, page, row.format("green") + row.format("red") + "<hr>")
    styles = "Array.from(document.querySelectorAll('li'), ({style}) => style.cssText)"
    assert await page.evaluate(styles) == ["--presence-color: green;", "--presence-color: red;"]
    await render(wire, page, "<li>green</li>" + row.format("red") + "<hr>")
    assert await page.evaluate(styles) == ["", "--presence-color: red;"]


async def test_the_attributes_of_a_whole_page_follow(site: Site, page: Page) -> None:
    site.body = "<h1>0</h1>"
    await page.goto(site.url)
    wire = await site.wire()
    await wire.ready()
    await wire.render('<html lang="de"><body class="night" data-x="1"><h1>1</h1></body></html>', "*")
    await expect(page.locator("h1")).to_have_text("1")
    await expect(page.locator("html")).to_have_attribute("lang", "de")
    await expect(page.locator("html")).to_have_attribute("data-presence-state", "live")
    await expect(page.locator("body")).to_have_class("night")
    await wire.render("<h1>2</h1>", "*")
    await expect(page.locator("h1")).to_have_text("2")
    await expect(page.locator("body")).to_have_class("night")
    await wire.render("<html><body><h1>3</h1></body></html>", "*")
    await expect(page.locator("h1")).to_have_text("3")
    assert await page.evaluate("document.documentElement.hasAttribute('lang')") is False
    assert await page.evaluate("document.body.getAttributeNames()") == []


# --- When something goes wrong

# The script puts the outer of two elements into the inner one's sibling, so that the server cannot do the opposite.
TANGLE = "document.querySelector('#b').append(document.querySelector('#a'))"
BEFORE, AFTER = '<p id="a"></p><p id="b"></p>', '<div id="a"><b>1</b></div>'


async def test_a_region_that_cannot_be_patched_takes_nothing_along(
    site: Site, page: Page, new_page: NewPage
) -> None:
    new_page.allow("uncaught: .*contains the parent|HierarchyRequestError")
    site.body = (
        region('<div id="a"></div><div id="b"></div>') + '<live-region id="live-2"><i>0</i></live-region>'
    )
    await page.goto(site.url)
    wire = await site.wire()
    await wire.ready()
    await eventually(page, STATE, "live")
    await page.evaluate(TANGLE)
    await listen(page, "presence-client:render")
    nested = '<div id="a"><div id="b">{}</div></div>'
    await wire.send("render", regions={"live-1": nested.format(1), "live-2": "<i>1</i>"})
    await expect(page.locator("i")).to_have_text("1")
    assert [
        problem for problem in new_page.problems if "HierarchyRequestError" in problem or "parent" in problem
    ]
    assert await content_of(page, "live-1") == nested.format(1)
    for turn in (2, 3):
        await wire.send("render", regions={"live-1": nested.format(turn), "live-2": f"<i>{turn}</i>"})
        await expect(page.locator("i")).to_have_text(str(turn))
        assert await content_of(page, "live-1") == nested.format(turn)


async def content_of(page: Page, name: str) -> str:
    return await page.locator(f"#{name}").inner_html()


async def test_an_element_with_the_id_of_a_region_is_not_taken_for_it(site: Site, page: Page) -> None:
    site.body = '<p id="live-1">mine</p>' + region("<b>0</b>")
    await page.goto(site.url)
    wire = await site.wire()
    await wire.ready()
    await render(wire, page, "<b>1</b>")
    await expect(page.locator("p")).to_have_text("mine")
    await expect(page.locator("b")).to_have_text("1")


async def test_a_page_with_trusted_types_goes_live(site: Site, page: Page, new_page: NewPage) -> None:
    site.policy = "default-src 'self'; require-trusted-types-for 'script'; trusted-types djust_presence"
    html = '<p onclick="{0}">{0}</p><iframe srcdoc="{0}" sandbox></iframe><live-cursors><main>x</main></live-cursors>'
    new_page.allow("Executing inline event handler violates")
    new_page.allow("Blocked script execution")
    wire = await visit(site, page, html.format(0))
    await render(wire, page, html.format(1))
    await expect(page.locator("p")).to_have_text("1")
    assert await page.locator("p").get_attribute("onclick") == "1"
    assert await page.locator("iframe").get_attribute("srcdoc") == "1"
    await expect(page.locator("presence-cursors")).to_be_attached()
    assert (await wire.read())["type"] == "cursors"
    await wire.render("<!doctype html><h1>2</h1>", "*")
    await expect(page.locator("h1")).to_have_text("2")


async def test_a_page_that_allows_no_types_says_so(site: Site, page: Page, new_page: NewPage) -> None:
    site.policy = "default-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
    new_page.allow("(?i)trusted")
    wire = await visit(site, page, "<p>0</p>")
    await render(wire, page, "<p>1</p>")
    await expect(page.locator("p")).to_have_text("0")
    assert any(re.search("djust_presence", problem) for problem in new_page.problems)


async def test_a_thousand_rows_without_ids_that_all_change_do_not_hold_up_the_page(
    site: Site, page: Page
) -> None:
    def rows(turn: int) -> str:
        return "".join(f"<li class=r><b>{n}</b> <i>{n + turn}</i></li>\n" for n in range(1000))

    wire = await visit(site, page, rows(0))
    await page.evaluate(
        """() => {
          const [key] = Object.getOwnPropertySymbols(document).filter(({description}) => /patch/.test(description));
          const {patch} = document[key];
          document[key].patch = (...args) => {
            const start = performance.now();
            const result = patch(...args);
            window.took = performance.now() - start;
            return result;
          };
        }"""
    )
    await render(wire, page, rows(1))
    assert await page.locator("li").last.inner_text() == "999 1000"
    assert await page.evaluate("window.took") < 5_000


# --- Any HTML after any other


async def fuzz(site: Site, page: Page, moves: str, acts: int, pages: int, seeds: range) -> tuple[int, int]:
    """Without scripts the page is the new HTML; whatever they do, the replica is, and nothing throws."""
    if moves == "insertBefore":
        await page.add_init_script("delete Element.prototype.moveBefore")
    site.policy = "default-src 'self'; style-src 'unsafe-inline'"
    site.static["fuzz.js"] = FUZZ
    site.script += '<script src="/static/fuzz.js" defer></script>'
    await visit(site, page)
    patches = refused = 0
    for seed in seeds:
        outcome: dict[str, Any] = await page.evaluate(
            "([seed, pages, acts]) => fuzz(seed, pages, acts)", [seed, pages, acts]
        )
        patches += outcome.pop("patches")
        refused += outcome.pop("refused")
        assert outcome == {"wrong": [], "errors": []}, f"seed {seed}"
    return patches, refused


@pytest.mark.parametrize("moves", ["moveBefore", "insertBefore"])
@pytest.mark.parametrize("acts", [0, 3])
async def test_any_page_becomes_what_the_server_says(site: Site, page: Page, moves: str, acts: int) -> None:
    patches, refused = await fuzz(site, page, moves, acts, 150, range(7, 8))
    assert patches == 900
    assert refused <= patches * (acts > 0) / 100


@pytest.mark.soak
@pytest.mark.parametrize("moves", ["moveBefore", "insertBefore"])
@pytest.mark.parametrize("acts", [0, 3])
async def test_twenty_five_thousand_pages_become_what_the_server_says(
    site: Site, page: Page, moves: str, acts: int
) -> None:
    patches, refused = await fuzz(site, page, moves, acts, 417, range(100, 110))
    assert patches > 25_000
    assert refused <= patches * (acts > 0) / 100
