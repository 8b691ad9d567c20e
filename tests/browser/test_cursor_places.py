"""Cursors on surfaces that CSS turns, mirrors, slants and scales; around frames; on forms."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.harness import Site, Wire, board, draw, drawn, eventually, render, told

NOWHERE = {"type": "cursor", "x": None}
STYLE = """
    body main { position: relative; margin: 150px 0 0 200px; width: 300px; height: 200px }
    b { position: absolute; width: 0; height: 0 }
"""


async def marked(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return where this place of the mark's parent is on the screen."""
    left, top = await page.evaluate(
        """([x, y]) => {
            const { style } = document.querySelector("b");
            [style.left, style.top] = [`${x}px`, `${y}px`];
            const { left, top } = document.querySelector("b").getBoundingClientRect();
            return [left, top];
        }""",
        [x, y],
    )
    return left, top


async def point(page: Page, wire: Wire, x: float, y: float) -> dict[str, Any]:
    await page.mouse.move(x, y)
    return await wire.read()


def close(value: list[Any], expected: list[Any]) -> bool:
    """To the pixel, as positions are whole."""
    return all(abs(one - other) <= 1 for one, other in zip(value, expected, strict=True))


async def drawn_at(page: Page, x: float, y: float) -> None:
    await eventually(
        page,
        f"""(() => {{
            const cursor = document.querySelector("presence-cursors").shadowRoot.querySelector(".cursor");
            const {{ left, top }} = cursor?.getBoundingClientRect() ?? {{}};
            return Math.abs(left - {x}) <= 1 && Math.abs(top - {y}) <= 1 ? "there" : `at ${{left}}, ${{top}}, not {x}, {y}`;
        }})()""",
        "there",
    )


TURNS = {
    "quarter": "main { transform: rotate(90deg) }",
    "half": "main { rotate: 180deg }",
    "slanted": "main { transform: rotate(30deg) }",
    "diagonal": "main { rotate: 45deg }",
    "mirrored": "main { transform: scaleX(-1) }",
    "upside down": "main { scale: 1 -1 }",
    "skewed": "main { transform: skew(20deg, 5deg) }",
    "all at once": "main { rotate: 20deg; scale: 0.8 1.2; translate: 10px 5px; transform: skewX(10deg) scale(-1, 1) }",
    "around it": "live-cursors { display: block; width: 600px; transform: rotate(-90deg) scaleY(-1) }",
    "both": "body { rotate: 40deg } main { transform: rotate(-70deg) }",
    "undone": "body { transform: rotate(33deg); transform-origin: 0 0 } main { transform: rotate(-33deg) }",
    "of the page": "html { transform: rotate(180deg); height: 500px }",
    "by an origin": "main { transform: rotate(60deg); transform-origin: 20px 200px }",
    "zoomed": "body { zoom: 0.5 } main { rotate: 50deg; margin: 300px 0 0 300px }",
    "from behind": "main { transform: rotateY(180deg) }",
    "from behind, turned": "live-cursors { display: block; transform-style: preserve-3d; transform: rotateX(180deg) } main { rotate: y 180deg }",
    "leaning": "main { rotate: 1 1 0 50deg }",
    "bordered": "main { rotate: 75deg; border: 10px solid; border-left-width: 30px }",
    "scrolled": "main { transform: rotate(130deg); overflow: auto; border: 5px solid } u { display: block; height: 900px; width: 700px }",
    "scrolled from the right": "main { scale: -1 1; direction: rtl; overflow: auto } u { display: block; height: 900px; width: 700px }",
    "not turned": "live-cursors { transform: rotate(90deg); rotate: 20deg; scale: 2 }",
    "not turned, in a line": "body live-cursors { display: inline; transform: rotate(90deg) }",
}


@pytest.mark.parametrize("style", TURNS.values(), ids=TURNS)
async def test_a_place_on_a_turned_surface_is_one_of_its_own(site: Site, page: Page, style: str) -> None:
    html = "<live-cursors><main><b></b><u></u></main></live-cursors>"
    wire = await board(site, page, html, STYLE + style)
    sideways = -60 if "rtl" in style else 70
    await page.evaluate("(x) => document.querySelector('main').scrollTo(x, 100)", sideways)
    size = await page.evaluate(
        "(({ scrollWidth, scrollHeight }) => [scrollWidth, scrollHeight])(document.querySelector('main'))"
    )
    for x, y in [(90, 130), (230, 150), (160, 110)]:
        left, top = await marked(page, x, y)
        if "rtl" in style:
            x += size[0] - 300
        frame = await point(page, wire, left, top)
        assert close([frame[name] for name in "xywh"], [x, y, *size]), frame
        await draw(wire, [1, x, y, *size])
        await drawn_at(page, left, top)
        # And in a window where it is half as large.
        await draw(wire, [1, 2 * x, 2 * y, *(2 * one for one in size)])
        await drawn_at(page, left, top)


@pytest.mark.parametrize(
    "style",
    [
        "main { rotate: 30deg }",
        "main { scale: -1 1 }",
        "live-cursors { display: block; width: 700px; rotate: 90deg } p { scale: 1 -1 }",
        "p { rotate: -50deg }",
    ],
)
async def test_a_place_over_a_turned_anchor_is_one_of_its_own(site: Site, page: Page, style: str) -> None:
    html = '<live-cursors><main><p id="it"><b></b></p></main></live-cursors>'
    style = STYLE + "p { position: absolute; inset: 50px 100px; margin: 0 }" + style
    wire = await board(site, page, html, style)
    left, top = await marked(page, 70, 20)
    frame = await point(page, wire, left, top)
    assert frame["anchor"] == "it"
    assert close([frame[name] for name in ("ax", "ay", "aw", "ah")], [70, 20, 100, 100]), frame
    await draw(wire, [1, 1, 1, 300, 200, "it", 70, 20, 100, 100])
    await drawn_at(page, left, top)


async def test_lines_and_drawings_are_anchors_if_it_can_be_told_where_they_are(
    site: Site, page: Page
) -> None:
    html = """
        <live-cursors><main id="all"><svg viewBox="0 0 10 10"><path id="path" d="M0 0H10V5H0Z"/></svg>
        <span id="lines">one<br>two</span></main></live-cursors>
    """
    style = STYLE + "svg { display: block; width: 100px; height: 100px } span { font: 50px/50px monospace }"
    anchors = {}
    wire = await board(site, page, html, style)
    for turn in ("rotate: 180deg", "rotate: 90deg", "scale: -1 1", "rotate: 30deg"):
        await page.evaluate(
            """(turn) => {
                const [name, value] = turn.split(": ");
                const { style } = document.querySelector("main");
                style.rotate = style.scale = "";
                style[name] = value;
                dispatchEvent(new Event("resize"));
            }""",
            turn,
        )
        for selector in ("path", "span"):
            x, y = await page.evaluate(
                """(selector) => {
                    const { left, top, width, height } = document.querySelector(selector).getClientRects()[0];
                    return [left + width / 2, top + height / 2];
                }""",
                selector,
            )
            frame = await point(page, wire, x, y)
            anchors[turn, selector] = frame.get("anchor")
            await page.mouse.move(0, 0)
            assert await wire.read() == NOWHERE
    straight = {one: name for one, name in anchors.items() if "30deg" not in one[0]}
    assert all(name == {"path": "path", "span": "lines"}[one[1]] for one, name in straight.items()), anchors
    assert [name for one, name in anchors.items() if "30deg" in one[0]] == [None, None]


async def test_cursors_outside_the_visible_part_of_a_turned_surface_are_not_drawn(
    site: Site, page: Page
) -> None:
    html = "<live-cursors><main><u></u></main></live-cursors>"
    style = (
        STYLE
        + "main { rotate: 45deg; overflow: auto; scrollbar-width: none } u { display: block; height: 900px }"
    )
    wire = await board(site, page, html, style)
    people = {str(n): {"id": f"p{n}", "name": f"n{n}"} for n in range(1, 4)}
    # In its middle; below what it shows, but in the rectangle around it; below that as well.
    await draw(wire, [1, 150, 100], [2, 150, 220], [3, 150, 890], who=people)
    await drawn(page, ["n1", 350, 250])
    await page.evaluate("document.querySelector('main').scrollTo(0, 120)")
    await drawn(page, ["n2", 350, 250])


async def test_a_surface_that_turns_while_it_is_shown_is_followed(site: Site, page: Page) -> None:
    style = STYLE + "main { transition: rotate 0.1s }"
    wire = await board(site, page, "<live-cursors><main><b></b></main></live-cursors>", style)
    await draw(wire, [1, 30, 40, 300, 200])
    await drawn(page, ["Ada", 230, 190])
    await page.evaluate("document.querySelector('main').style.rotate = '180deg'")
    await drawn(page, ["Ada", 470, 310])


# --- Frames


@pytest.mark.parametrize(
    "frame",
    [
        '<iframe src="/inner/"></iframe>',
        '<iframe src="/inner/" sandbox="allow-same-origin"></iframe>',
        '<object data="/inner/" type="text/html"></object>',
        '<embed src="/inner/" type="text/html">',
    ],
    ids=["iframe", "sandboxed", "object", "embed"],
)
async def test_a_pointer_that_goes_into_a_frame_is_gone(site: Site, page: Page, frame: str) -> None:
    site.plain["/inner/"] = "<p>inner</p>"
    style = "iframe, object, embed { position: absolute; left: 150px; top: 100px; border: 0; width: 200px; height: 100px }"
    wire = await board(site, page, f'<live-cursors><main id="it">{frame}</main></live-cursors>', style)
    await page.wait_for_load_state()
    await page.wait_for_timeout(200)
    frame_of = {"type": "cursor", "x": 20, "y": 100, "w": 400, "h": 300}
    assert await point(page, wire, 120, 150) == frame_of
    assert await point(page, wire, 200, 150) == NOWHERE
    for x in range(210, 300, 10):
        await page.mouse.move(x, 150)
    await told(wire)
    assert await point(page, wire, 120, 150) == frame_of
    # In one step to the other side of its edge, and on.
    assert await point(page, wire, 151, 101) == NOWHERE
    assert (await point(page, wire, 450, 150))["x"] == 350


async def test_an_image_that_is_an_object_is_part_of_the_surface(site: Site, page: Page) -> None:
    html = "<live-cursors><main><object></object><img></main></live-cursors>"
    wire = await board(site, page, html, "object, img { display: block; width: 200px; height: 100px }")
    assert (await point(page, wire, 150, 80))["x"] == 50
    assert (await point(page, wire, 160, 180))["x"] == 60


# --- Forms

FIELDS = "".join(
    f'<input name="{name}">'
    for name in (
        "id", "matches", "closest", "contains", "parentElement", "parentNode", "firstElementChild", "localName",
        "getAttribute", "getBoundingClientRect", "getClientRects", "querySelector", "assignedSlot",
        "ownerSVGElement", "contentWindow", "clientLeft", "clientTop", "clientWidth", "clientHeight",
        "offsetWidth", "offsetHeight", "scrollLeft", "scrollTop", "scrollWidth", "scrollHeight", "style",
    )
)  # fmt: skip


@pytest.mark.parametrize(
    ("html", "anchor"),
    [
        (f"<live-cursors><form>{FIELDS}<p></p></form></live-cursors>", None),
        (f'<live-cursors><main><form id="form">{FIELDS}<p></p></form></main></live-cursors>', "form"),
        (f"<form>{FIELDS}<live-cursors><main><p></p></main></live-cursors></form>", None),
        (f'<form>{FIELDS}<live-cursors><main><p id="p"></p></main></live-cursors></form>', "p"),
        (
            f'<live-cursors name="x"><form>{FIELDS}<live-cursors><main></main></live-cursors></form></live-cursors>',
            None,
        ),
    ],
    ids=["surface", "anchor", "around", "around an anchor", "between surfaces"],
)
@pytest.mark.parametrize("turn", ["none", "90deg", "30deg"])
async def test_names_of_a_forms_fields_make_no_difference(
    site: Site, page: Page, html: str, anchor: str | None, turn: str
) -> None:
    style = f"form, main {{ display: block; margin: 0; width: 300px; height: 200px; overflow: auto }} form:only-of-type {{ rotate: {turn} }} body {{ padding: 100px }} main main, form main {{ margin: 0 }} input {{ display: none }} p {{ margin: 0; height: 200px }}"
    wire = await board(site, page, html, style)
    frame = await point(page, wire, 250, 210)
    assert frame.get("anchor") == anchor
    assert frame["x"] is not None
    assert "surface" not in frame
    await draw(
        wire, [1, *(frame.get(name) for name in ("x", "y", "w", "h", "anchor", "ax", "ay", "aw", "ah"))]
    )
    await drawn_at(page, 250, 210)
    await render(wire, page, html + "<hr>")
    await drawn_at(page, 250, 210)
    await expect(page.locator("presence-cursors .cursor")).to_have_count(1)
