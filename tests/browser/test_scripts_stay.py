"""Changes by scripts, widgets and persons stay as long as the server's own HTML for them is the same."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.harness import Site, eventually, region, render, visit

# The region without the count of renders in it.
CONTENT = """document.querySelector("live-region").innerHTML.replace(/<i>.*?<[/]i>/, "")"""

TRANSLATE = """
(root) => {
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) if (texts.currentNode.data.trim()) found.push(texts.currentNode);
  for (const text of found) {
    const [outer, inner] = [document.createElement("font"), document.createElement("font")];
    inner.textContent = `«${text.data}»`;
    outer.append(inner);
    text.replaceWith(outer);
  }
}
"""


@pytest.mark.parametrize(
    ("html", "act"),
    [
        ('<p class="a">x</p>', "x.classList.add('mine')"),
        ("<p>x</p>", "x.style.color = 'red'"),
        ("<p>x</p>", "x.hidden = true"),
        ('<button aria-expanded="false">x</button>', "x.setAttribute('aria-expanded', true)"),
        ('<p class="a" title="t">x</p>', "x.removeAttribute('title')"),
        ('<input type="hidden" name="t" value="">', "x.value = 'set'"),
        ('<img alt="" loading="lazy" data-src="/a">', "x.src = x.dataset.src"),
        ("<p><b>x</b></p>", "x.append(document.createElement('u'))"),
        ("<p><b>x</b></p>", "x.prepend('text')"),
        ("<p><b>x</b> <b>y</b></p>", "x.firstChild.remove()"),
        ("<p>x</p>", "x.remove()"),
        ("<p>x</p>", "x.textContent = 'mine'"),
        ("<ul><li>x<li>y</ul>", "x.innerHTML = '<li>mine</li>'"),
        ("<ul><li>x<li>y</ul>", "x.append(x.firstChild)"),
        ("<p>x</p>", "x.replaceWith(document.createElement('div')) "),
        ("<p><b>x</b></p>", "const box = document.createElement('div'); x.replaceWith(box); box.append(x)"),
        ("<p><b>x</b></p>", "document.body.append(x)"),
        ("<p>x</p>", "x.before(document.createElement('hr')); x.after(document.createElement('hr'))"),
        ("<details><summary>s</summary>x</details>", "x.open = true"),
        ("<details open><summary>s</summary>x</details>", "x.open = false"),
        ("<select><option>a<option>b</select>", "x.append(new Option('c'))"),
        (
            '<form><input name="user"><input name="password" type="password"></form>',
            """for (const field of [...x.children]) {
                 field.dataset.manager = "1";
                 field.style.backgroundColor = "ivory";
                 field.before(document.createElement("com-icon"));
                 field.after(document.createElement("com-menu"));
               }""",
        ),
    ],
)
async def test_changes_by_a_script_stay(site: Site, page: Page, html: str, act: str) -> None:
    wire = await visit(site, page, f"{html}<i>0</i>")
    await page.evaluate(
        f"() => {{ const x = document.querySelector('live-region').firstElementChild; {act} }}"
    )
    done = await page.evaluate(CONTENT)
    for turn in (1, 2):
        await render(wire, page, f"{html}<i>{turn}</i>")
        assert await page.evaluate(CONTENT) == done
        await expect(page.locator("i")).to_have_text(str(turn))


@pytest.mark.parametrize("build", ["alpine.js", "alpine-csp.js"])
async def test_alpine_goes_on(site: Site, page: Page, use: Any, build: str) -> None:
    use(build)
    if build == "alpine.js":
        site.policy += "; script-src 'self' 'unsafe-eval'"
    html = """
    <div x-data="{{ open: true, tags: ['x', 'y'] }}" x-cloak class="box{1}">
      <button @click="open = !open" :aria-expanded="open" :class="open ? 'on' : 'off'" class="b">toggle</button>
      <p x-show="open">panel</p>
      <ul><template x-for="tag in tags" :key="tag"><li x-text="tag">?</li></template></ul>
      <template x-if="open"><b>if</b></template>
      <i>{0}</i>{2}
    </div>"""
    wire = await visit(site, page, html.format(0, "", ""))
    await expect(page.locator("li")).to_have_text(["x", "y"])
    await render(wire, page, html.format(1, "", ""))
    await expect(page.locator("li")).to_have_text(["x", "y"])
    await expect(page.locator("p, b")).to_have_text(["panel", "if"])
    await page.locator("button").click()
    await expect(page.locator("b")).to_have_count(0)
    await render(
        wire, page, html.format(2, " wide", "<u x-show='open'>new</u><em x-text='tags.length'></em>")
    )
    await expect(page.locator("i")).to_have_text("2")
    await expect(page.locator("em")).to_have_text("2")
    for hidden in ("p", "u"):
        await expect(page.locator(hidden)).to_be_hidden()
    assert await page.locator("[x-cloak], b").count() == 0
    await expect(page.locator("div")).to_have_class("box wide")
    await expect(page.locator("button")).to_have_class("b off")
    await expect(page.locator("button")).to_have_attribute("aria-expanded", "false")
    await expect(page.locator("li")).to_have_text(["x", "y"])
    await page.locator("button").click()
    for shown in ("p", "b", "u"):
        await expect(page.locator(shown)).to_be_visible()
    await expect(page.locator("li")).to_have_text(["x", "y"])


async def test_a_changed_x_for_is_told_to_alpine(site: Site, page: Page, use: Any) -> None:
    use("alpine-csp.js")
    html = (
        '<div x-data="{{ tags: [1, 2] }}"><template x-for="tag in tags"><b>{}</b></template><i>{}</i></div>'
    )
    wire = await visit(site, page, html.format("one", 0))
    await expect(page.locator("b")).to_have_text(["one", "one"])
    await render(wire, page, html.format("two", 1))
    source = "document.querySelector('template').innerHTML"
    assert await page.evaluate(source) == "<b>two</b>"


async def test_a_chart_goes_on(site: Site, page: Page, use: Any) -> None:
    use("chart.js")
    html = '<p>{}</p><section><canvas width="300" height="150"></canvas></section>'
    wire = await visit(site, page, html.format(0))
    await page.evaluate(
        """() => {
          const data = {labels: ["a", "b"], datasets: [{data: [1, 2], backgroundColor: "#000"}]};
          window.chart = new Chart(document.querySelector("canvas"), {type: "bar", data, options: {animation: false}});
        }"""
    )
    drawn = """() => {
      const canvas = document.querySelector("canvas");
      const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return [canvas.getAttribute("style"), canvas.width, data.some((value) => value), window.chart.canvas === canvas];
    }"""
    before = await page.evaluate(drawn)
    assert before[2:] == [True, True]
    await render(wire, page, html.format(1))
    await page.evaluate("new Promise(requestAnimationFrame)")
    assert await page.evaluate(drawn) == before


async def test_a_date_picker_goes_on_and_goes_with_its_field(site: Site, page: Page, use: Any) -> None:
    use("flatpickr.js")
    site.policy += "; style-src 'self' 'unsafe-inline'"
    field = '<form><label>When <input name="when" value="{}"></label></form>'
    wire = await visit(site, page, field.format("2026-01-02") + "<i>0</i>")
    await page.evaluate("flatpickr('[name=when]', {altInput: true, altFormat: 'd/m/Y'})")
    shown = page.locator("label input:not([name])")
    await expect(shown).to_have_value("02/01/2026")
    await render(wire, page, field.format("2026-01-02") + "<i>1</i>")
    await expect(shown).to_be_visible()
    await expect(page.locator("[name=when]")).to_be_hidden()
    await shown.click()
    await page.locator(".flatpickr-day:not(.prevMonthDay)", has_text="14").first.click()
    await render(wire, page, field.format("2026-01-02") + "<i>2</i>")
    await expect(shown).to_have_value("14/01/2026")
    await expect(page.locator("[name=when]")).to_have_value("2026-01-14")
    await render(wire, page, "<form><label>When never</label></form><i>3</i>")
    await expect(page.locator("form input")).to_have_count(0)


async def test_a_select_widget_goes_on_and_goes_with_its_field(site: Site, page: Page, use: Any) -> None:
    use("tom-select.js")
    select = (
        '<select name="tags" multiple><option value="a">A</option><option value="b">B</option>{}</select>'
    )
    wire = await visit(site, page, select.format("") + "<i>0</i>")
    await page.evaluate("window.widget = new TomSelect('select', {})")
    await page.locator(".ts-control").click()
    await page.locator(".option", has_text="B").click()
    await render(wire, page, select.format("<option value=c>C</option>") + "<i>1</i>")
    await expect(page.locator(".ts-wrapper .item")).to_have_text(["B"])
    await expect(page.locator("select")).to_have_class("tomselected ts-hidden-accessible")
    await expect(page.locator("option")).to_have_count(3)
    assert await page.evaluate(
        "[...document.querySelector('select').selectedOptions].map((one) => one.value)"
    ) == ["b"]
    await render(wire, page, "<i>2</i>")
    await expect(page.locator(".ts-wrapper")).to_have_count(0)


async def test_a_dragged_textarea_keeps_its_size(site: Site, page: Page) -> None:
    site.policy = "default-src 'self'; style-src 'unsafe-inline'"
    html = "<textarea{}></textarea><i>{}</i>"
    wire = await visit(site, page, html.format("", 0))
    box = await page.locator("textarea").bounding_box()
    assert box
    x, y = box["x"] + box["width"] - 4, box["y"] + box["height"] - 4
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x + 100, y + 50)
    await page.mouse.up()
    size = "[document.querySelector('textarea').offsetWidth, document.querySelector('textarea').offsetHeight]"
    dragged = [box["width"] + 100, box["height"] + 50]
    assert await page.evaluate(size) == dragged
    await render(wire, page, html.format("", 1))
    assert await page.evaluate(size) == dragged
    await render(wire, page, html.format(' style="color: rgb(1, 2, 3)"', 2))
    assert await page.evaluate(size) == dragged
    await expect(page.locator("textarea")).to_have_css("color", "rgb(1, 2, 3)")


async def test_a_hidden_input_that_a_script_has_set_is_empty_after_the_answer(site: Site, page: Page) -> None:
    html = '<form dj-submit="send"><input type="hidden" name="text" value=""><button>Send</button></form><i>{}</i>'
    wire = await visit(site, page, html.format(0))
    await page.evaluate("document.querySelector('input').value = 'written in an editor'")
    await page.locator("button").click()
    frame = await wire.read()
    assert frame["params"]["text"] == "written in an editor"
    await render(wire, page, html.format(1))
    await wire.send("ack", ref=frame["ref"])
    await expect(page.locator("input")).to_have_value("")


EDITABLE = "<div contenteditable>{}</div><i>{}</i>"


async def write(page: Page) -> None:
    await page.locator("div").press("End")
    await page.locator("div").press_sequentially("!")


async def test_text_that_was_written_stays_when_its_editor_is_left(site: Site, page: Page) -> None:
    wire = await visit(site, page, EDITABLE.format("a", 0))
    await write(page)
    await page.evaluate("document.activeElement.blur()")
    await render(wire, page, EDITABLE.format("a", 1))
    await expect(page.locator("div")).to_have_text("a!")
    await render(wire, page, EDITABLE.format("<b>b</b> c", 2))
    assert await page.locator("div").inner_html() == "<b>b</b> c"
    await render(wire, page, EDITABLE.format("<b>b</b> d", 3))
    assert await page.locator("div").inner_html() == "<b>b</b> d"


async def test_changes_that_an_editor_missed_while_a_person_wrote_are_not_applied_later(
    site: Site, page: Page
) -> None:
    wire = await visit(site, page, EDITABLE.format("a", 0))
    await write(page)
    await render(wire, page, EDITABLE.format("b", 1))
    await page.evaluate("document.activeElement.blur()")
    await render(wire, page, EDITABLE.format("b", 2))
    await expect(page.locator("div")).to_have_text("a!")
    await render(wire, page, EDITABLE.format("c", 3))
    await expect(page.locator("div")).to_have_text("c")


async def test_an_editor_that_only_has_the_focus_follows_when_it_is_left(site: Site, page: Page) -> None:
    wire = await visit(site, page, EDITABLE.format("a", 0))
    await page.locator("div").focus()
    await render(wire, page, EDITABLE.format("b", 1))
    await expect(page.locator("i")).to_have_text("1")
    await expect(page.locator("div")).to_have_text("a")
    await page.evaluate("document.activeElement.blur()")
    await expect(page.locator("div")).to_have_text("b")


async def test_a_translated_page_stays_translated_and_says_nothing_twice(site: Site, page: Page) -> None:
    html = "<h1>Title</h1><p>You, <b>{}</b> and {}</p><ul>{}</ul>"
    wire = await visit(site, page, html.format("Ada", "Bob", "<li>one</li>"))
    await page.evaluate(f"({TRANSLATE})(document.querySelector('live-region'))")
    text = "document.querySelector('live-region').textContent"
    assert await page.evaluate(text) == "«Title»«You, »«Ada»« and Bob»«one»"
    await render(wire, page, html.format("Ada", "Bob", "<li>one</li><li>two</li>"))
    assert await page.evaluate(text) == "«Title»«You, »«Ada»« and Bob»«one»two"
    await render(wire, page, html.format("Cleo", "Dan", "<li>two</li>"))
    assert await page.evaluate(text) == "«Title»«You, »Cleo and Dantwo"
    await page.evaluate(f"({TRANSLATE})(document.querySelector('p'))")
    await render(wire, page, html.format("Cleo", "Eve", ""))
    assert await page.evaluate(text) == "«Title»««You, »»«Cleo» and Eve"


async def test_a_text_that_a_translator_has_wrapped_is_changed_where_it_is(site: Site, page: Page) -> None:
    wire = await visit(site, page, "<p>one</p>")
    await page.evaluate(
        """() => {
          const [paragraph, font] = [document.querySelector("p"), document.createElement("font")];
          font.append(paragraph.firstChild);
          paragraph.append(font);
        }"""
    )
    await render(wire, page, "<p>two</p>")
    assert await page.locator("p").inner_html() == "<font>two</font>"


# --- When the server changes what a script has changed


@pytest.mark.parametrize(
    ("html", "act", "changed", "expected"),
    [
        (
            '<p class="a b">x</p>',
            "x.classList.add('mine')",
            '<p class="b c">x</p>',
            '<p class="b mine c">x</p>',
        ),
        ('<p class="a">x</p>', "x.classList.remove('a')", "<p>x</p>", "<p>x</p>"),
        ("<p>x</p>", "x.textContent = 'mine'", "<p>y</p>", "<p>y</p>"),
        ('<p title="a">x</p>', "x.title = 'mine'", '<p title="b">x</p>', '<p title="b">x</p>'),
        ("<p>x</p>", "x.remove()", "<p>y</p>", "<p>y</p>"),
        ("<p>x</p>", "x.append(document.createElement('u'))", "<p>y</p>", "<p>y<u></u></p>"),
        (
            "<ul><li>x<li>y</ul>",
            "x.innerHTML = '<li>mine'",
            "<ul><li>x<li>z</ul>",
            "<ul><li>x</li><li>z</li></ul>",
        ),
        ("<ul><li>x</ul>", "x.firstChild.remove()", "<ul><li>x<li>y</ul>", "<ul><li>y</li></ul>"),
        ("<p><b>x</b></p>", "document.body.append(x.firstChild)", "<p></p>", "<p></p>"),
        (
            "<p><b>x</b></p>",
            "const box = document.createElement('s'); x.firstChild.replaceWith(box); box.append(x.outerHTML && 'x')",
            "<p><b>y</b></p>",
            "<p><b>y</b></p>",
        ),
        (
            "<p>a</p><b>x</b>",
            "const box = document.createElement('s'); x.nextSibling.replaceWith(box); box.append(document.createElement('b'))",
            "<p>b</p>",
            "<p>b</p><s><b></b></s>",
        ),
    ],
)
async def test_the_servers_change_is_applied_to_what_a_script_did(
    site: Site, page: Page, html: str, act: str, changed: str, expected: str
) -> None:
    wire = await visit(site, page, f"{html}<i>0</i>")
    await page.evaluate(
        f"() => {{ const x = document.querySelector('live-region').firstElementChild; {act} }}"
    )
    await render(wire, page, f"{changed}<i>1</i>")
    assert await page.evaluate(CONTENT) == expected


async def test_a_wrapped_element_goes_with_its_wrapper(site: Site, page: Page) -> None:
    wire = await visit(site, page, '<p><input name="a"> <input name="b"></p>')
    await page.evaluate(
        """() => {
          const [box, field] = [document.createElement("span"), document.querySelector("[name=a]")];
          field.replaceWith(box);
          box.append(field, document.createElement("button"));
        }"""
    )
    await render(wire, page, '<p><input name="b"></p>')
    assert (await page.locator("p").inner_html()).strip() == '<input name="b">'


async def test_a_list_that_a_script_has_sorted_follows_the_servers_order(site: Site, page: Page) -> None:
    def rows(*names: str) -> str:
        return "<ul>" + "".join(f'<li id="{name}">{name}</li>' for name in names) + "</ul>"

    wire = await visit(site, page, rows("a", "b", "c"))
    order = "document.querySelector('ul').textContent"
    await page.evaluate("document.querySelector('ul').prepend(document.querySelector('#c'))")
    await render(wire, page, rows("a", "b", "c") + "<i></i>")
    assert await page.evaluate(order) == "cab"
    await render(wire, page, rows("c", "a", "b"))
    assert await page.evaluate(order) == "cab"
    await render(wire, page, rows("b", "c", "a"))
    assert await page.evaluate(order) == "bca"


async def test_an_element_that_the_pages_own_htmx_has_swapped_is_patched_and_not_doubled(
    site: Site, page: Page
) -> None:
    html = '<div><form id="f"><input name="a"><b>{}</b></form></div>'
    wire = await visit(site, page, html.format(0))
    await page.evaluate(
        "document.querySelector('#f').outerHTML = '<form id=\"f\"><input name=\"a\"><u>swap</u></form>'"
    )
    await render(wire, page, html.format(0) + "<p></p>")
    await expect(page.locator("u")).to_have_text("swap")
    await render(wire, page, html.format(1))
    await expect(page.locator("form")).to_have_count(1)
    assert await page.locator("form").inner_html() == '<input name="a"><b>1</b>'


async def test_elements_swapped_in_a_form_are_patched_whatever_its_fields_are_named(
    site: Site, page: Page
) -> None:
    html = '<form><input name="replaceChild"><b id="b">{}</b></form>'
    wire = await visit(site, page, html.format(0))
    await page.evaluate(
        """() => {
          document.querySelector("form").className = "mine";
          document.querySelector("b").outerHTML = '<b id="b">swap</b>';
        }"""
    )
    await render(wire, page, html.format(1))
    await expect(page.locator("form.mine > b")).to_have_text("1")


async def test_a_region_that_was_swapped_as_a_whole_is_patched(site: Site, page: Page) -> None:
    wire = await visit(site, page, "<p>0</p>")
    await page.evaluate(
        "html => { document.querySelector('live-region').outerHTML = html }", region("<p>swap</p><hr>")
    )
    await render(wire, page, "<p>1</p>")
    assert await page.locator("live-region").inner_html() == "<p>1</p>"
    await wire.render(region("<p>2</p>"), "*")
    await expect(page.locator("p")).to_have_text("2")
    await expect(page.locator("live-region")).to_have_count(1)


async def test_elements_that_scripts_put_at_the_end_of_a_page_stay_when_it_is_patched_as_a_whole(
    site: Site, page: Page
) -> None:
    site.body = "<h1>0</h1>"
    await page.goto(site.url)
    wire = await site.wire()
    await wire.ready()
    await page.evaluate(
        """() => {
          document.body.append(document.createElement("dialog"));
          document.body.classList.add("dark");
          document.documentElement.lang = "eo";
          document.title = "(3) Harness";
        }"""
    )
    for turn in (1, 2):
        await wire.render(f"<!doctype html><title>Harness</title><body class=a><h1>{turn}</h1>", "*")
        await expect(page.locator("h1")).to_have_text(str(turn))
        await expect(page.locator("dialog")).to_have_count(1)
        await expect(page.locator("body")).to_have_class("dark a")
        assert await page.evaluate("document.documentElement.lang") == "eo"
        assert await page.title() == "(3) Harness"
    await wire.render('<!doctype html><html lang="de"><title>New</title><body class=b><h1>3</h1>', "*")
    await eventually(page, "document.title", "New")
    await expect(page.locator("html")).to_have_attribute("lang", "de")
    await expect(page.locator("body")).to_have_class("dark b")


@pytest.mark.parametrize(
    "act",
    [
        "document.body.append(mine)",
        "document.body.prepend(mine)",
        "document.body.append('text', mine)",
        "document.documentElement.append(mine)",
        "document.head.append(mine)",
        "document.body.lastElementChild.after(mine)",
        "document.querySelector('h1').after(mine)",
        "document.querySelector('h1').before(mine)",
        "document.body.append(mine); mine.append(document.querySelector('p'))",
        "document.body.append(mine); mine.append(...document.querySelectorAll('h1, p'))",
    ],
)
async def test_elements_that_scripts_put_anywhere_in_a_page_stay_whatever_becomes_of_the_rest(
    site: Site, page: Page, act: str
) -> None:
    html = "<main><p>{0}</p></main><h1>{0}</h1><footer>{0}</footer>"
    site.body = html.format(0)
    await page.goto(site.url)
    wire = await site.wire()
    await wire.ready()
    await eventually(page, "document.documentElement.dataset.presenceState", "live")
    await page.evaluate(
        f"() => {{ const mine = document.createElement('aside'); mine.id = 'mine'; window.mine = mine; {act} }}"
    )
    contents = [html, html + "<hr>", html, "<main><p>{0}</p></main>", "<section>{0}</section>", html]
    for turn, content in enumerate(contents, 1):
        await wire.render(f"<!doctype html><title>{turn}</title><body>{content.format(turn)}", "*")
        await eventually(page, "document.title", str(turn))
        assert await page.evaluate("mine.isConnected"), content
        assert str(turn) in await page.evaluate("document.body.textContent")
