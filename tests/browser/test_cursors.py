"""Shared surfaces in a real Chromium, against a socket that the test plays: positions sent, and cursors drawn."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, CDPSession, Page, expect

from tests.browser.conftest import NewPage, launch
from tests.browser.harness import (
    ADA,
    STATE,
    STYLE,
    SURFACE,
    Site,
    Wire,
    add_rule,
    board,
    draw,
    drawn,
    eventually,
    paused,
    region,
    render,
    told,
    visit,
    welcome,
)

CURSOR = "presence-cursors .cursor"
LOOK = "presence-cursors .look"
NOWHERE = {"type": "cursor", "x": None}


async def point(page: Page, wire: Wire, x: float, y: float) -> dict[str, Any]:
    """Move the mouse there, and return the frame that the page sends about it."""
    await page.mouse.move(x, y)
    frame = await wire.read()
    if (frame.get("x"), frame.get("y")) == (0, 0) != (x, y):  # the mouse of a new page may be in its corner
        frame = await wire.read()
    return frame


async def says_nothing(wire: Wire, page: Page) -> None:
    """Give the page time to say more, and fail if it has."""
    await page.wait_for_timeout(100)
    await told(wire)


# --- The script


async def test_only_pages_with_a_surface_load_the_script(site: Site, page: Page) -> None:
    wire = await visit(site, page, "<p>1</p>")
    await page.mouse.move(10, 10)
    await wire.send("cursors", moves=[[1, 2, 3]])
    await says_nothing(wire, page)
    assert "GET /static/cursors.js" not in site.requests
    await render(wire, page, SURFACE)
    assert await wire.read() == {"type": "cursors"}
    await render(wire, page, SURFACE + SURFACE)
    await says_nothing(wire, page)
    assert site.requests.count("GET /static/cursors.js") == 1


async def test_a_page_says_once_per_connection_that_it_shows_cursors(site: Site, page: Page) -> None:
    wire = await board(site, page)
    await render(wire, page, SURFACE + "<p>1</p>")
    await says_nothing(wire, page)
    await wire.close(1012)
    wire = await site.wire()
    await wire.ready()
    await welcome(wire)
    await says_nothing(wire, page)


async def test_a_server_that_knows_no_cursors_is_told_of_no_moves(site: Site, page: Page) -> None:
    wire = await visit(site, page, SURFACE)
    await add_rule(page, STYLE)
    assert await wire.read() == {"type": "cursors"}
    await wire.send("error", code="no-cursors", message="The view of this page is not a LiveCursorMixin.")
    await page.mouse.move(150, 80)
    await says_nothing(wire, page)
    await wire.send("cursors", you="me", rate=30, all=True)
    assert (await wire.read())["x"] == 50


async def test_a_surface_that_comes_later_is_announced_then(site: Site, page: Page) -> None:
    wire = await board(site, page)
    await render(wire, page, "<p>1</p>")
    await wire.close(1012)
    wire = await site.wire()
    await wire.ready()
    await says_nothing(wire, page)
    await render(wire, page, "<live-cursors></live-cursors>")
    await says_nothing(wire, page)
    await render(wire, page, SURFACE)
    assert await wire.read() == {"type": "cursors"}


async def test_the_script_is_tried_again(site: Site, page: Page, new_page: NewPage) -> None:
    new_page.allow("cursors.js")
    file = site.static.pop("cursors.js")
    await page.clock.install()
    wire = await visit(site, page, SURFACE)
    await says_nothing(wire, page)
    site.static["cursors.js"] = file
    await page.clock.run_for(5_000)
    assert await wire.read() == {"type": "cursors"}


async def test_the_script_gets_the_nonce_of_the_page(site: Site, page: Page) -> None:
    site.policy = "default-src 'self'; script-src 'nonce-abc'"
    site.script = site.script.replace("<script ", '<script nonce="abc" ')
    await board(site, page)


async def test_a_page_that_is_left_by_a_boosted_navigation_draws_what_the_next_one_has(
    site: Site, page: Page
) -> None:
    wire = await board(site, page)
    await draw(wire, [1, 10, 20, 400, 300])
    await drawn(page, ["Ada", 110, 70])
    await page.evaluate(
        """() => {
            history.pushState(null, "", "/next/");
            const script = document.querySelector("body script[data-cursors]");
            const again = document.createElement("script");
            for (const { name, value } of script.attributes) again.setAttribute(name, value);
            script.replaceWith(again);
        }"""
    )
    wire = await site.wire()
    assert wire.url == "/next/"
    await drawn(page)
    await wire.ready()
    assert await wire.read() == {"type": "cursors"}
    await draw(wire, [1, 30, 20, 400, 300])
    await drawn(page, ["Ada", 130, 70])
    assert site.requests.count("GET /static/cursors.js") == 1


# --- What is sent: places


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("", [50, 30, 400, 300]),
        ("main { border: 10px solid; width: 380px }", [40, 20, 380, 300]),
        ("main { transform: scale(2); transform-origin: 0 0 }", [25, 15, 400, 300]),
        ("main { zoom: 2; margin: 25px 0 0 50px }", [25, 15, 400, 300]),
        (
            "main { overflow: auto } main::after { content: ''; display: block; height: 900px }",
            [50, 30, 400, 900],
        ),
        ("main { overflow: hidden }", [50, 30, 400, 300]),
        ("main { display: inline-block; width: 100.4px }", [50, 30, 100, 300]),
    ],
    ids=["plain", "border", "transform", "zoom", "scrollable", "clipped", "fraction"],
)
async def test_a_place_is_in_pixels_of_the_surface(
    site: Site, page: Page, style: str, expected: list[int]
) -> None:
    wire = await board(site, page, style=style + "main { scrollbar-width: none }")
    frame = await point(page, wire, 150, 80)
    assert frame == {"type": "cursor"} | dict(zip("xywh", expected, strict=True))


async def test_scrolled_content_is_included(site: Site, page: Page) -> None:
    style = """
        main { overflow: auto; scrollbar-width: none } body { height: 5000px; width: 5000px }
        p { margin: 0; height: 900px; width: 1000px }
    """
    wire = await board(site, page, "<live-cursors><main><p></p></main></live-cursors>", style)
    await page.evaluate("document.querySelector('main').scrollTo(70, 200)")
    frame = await point(page, wire, 150, 80)
    assert frame == {"type": "cursor", "x": 120, "y": 230, "w": 1000, "h": 900}
    await page.evaluate("window.scrollTo(10, 20)")
    assert await wire.read() == frame | {"x": 130, "y": 250}
    await page.evaluate("document.querySelector('main').scrollTo(70, 210)")
    assert await wire.read() == frame | {"x": 130, "y": 260}
    await page.evaluate("document.querySelector('main').dir = 'rtl'")
    await page.evaluate("window.dispatchEvent(new Event('resize'))")
    await page.evaluate("document.querySelector('main').scrollTo(-5, 210)")
    # 600 pixels are hidden to the left, when nothing is scrolled.
    while await wire.read() != frame | {"x": 655, "y": 260}:
        pass  # on the way there it scrolls by itself


ROWS = """
    <live-cursors><main id="main">
      <div id="list"><p data-cursor-anchor="row" id="other"><b>bold</b></p>
      <live-region id="live-7"><i>italic</i></live-region></div>
      <p id="twice" class="one"></p><p id="twice" class="two"></p>
      <p id="form"><input name="id"></p>
      <p id="{long}"></p>
      <p id="ghost"><u></u></p>
    </main></live-cursors>
"""
ROWS_STYLE = """
    main * { display: block; margin: 0; width: 200px; height: 20px; padding: 0; border: 0 } p { margin-left: 50px }
    #list { height: 40px } #list p { margin: 0 } live-region, #ghost { display: contents }
"""


@pytest.mark.parametrize(
    ("top", "anchor"),
    [
        (10, ["row", 70, 10, 200, 20]),
        (30, ["list", 70, 30, 200, 40]),
        (50, ["twice", 20, 10, 200, 20]),
        (70, None),
        (90, ["form", 20, 10, 200, 20]),
        (110, None),
        (130, None),
        (290, None),
    ],
    ids=["named", "in a region", "first", "second of a name", "form", "too long", "no box", "surface"],
)
async def test_the_anchor_is_the_nearest_element_that_others_can_find(
    site: Site, page: Page, top: int, anchor: list[Any] | None
) -> None:
    wire = await board(site, page, ROWS.format(long="x" * 129), ROWS_STYLE)
    frame = await point(page, wire, 170, 50 + top)
    fields = dict(zip(("anchor", "ax", "ay", "aw", "ah"), anchor, strict=True)) if anchor else {}
    assert frame == {"type": "cursor", "x": 70, "y": top, "w": 400, "h": 300} | fields


async def test_an_anchor_that_scrolls_counts_its_content(site: Site, page: Page) -> None:
    html = '<live-cursors><main><pre id="code"><u></u></pre></main></live-cursors>'
    style = """
        pre { margin: 0; height: 100px; overflow: auto; scrollbar-width: none }
        u { display: block; height: 500px }
    """
    wire = await board(site, page, html, style)
    await page.evaluate("document.querySelector('pre').scrollTo(0, 100)")
    frame = await point(page, wire, 150, 80)
    assert [frame[name] for name in ("y", "anchor", "ax", "ay", "aw", "ah")] == [
        30,
        "code",
        50,
        130,
        400,
        500,
    ]
    await draw(
        wire,
        [1, 1, 1, 400, 300, "code", 50, 150, 400, 500],
        [2, 1, 1, 400, 300, "code", 50, 350, 400, 500],
        who={"1": ADA, "2": {"id": "b"}},
    )
    await drawn(page, ["Ada", 150, 100])
    await page.evaluate("document.querySelector('pre').scrollTo(0, 320)")
    await drawn(page, ["Guest", 150, 80])


@pytest.mark.parametrize("tag", ["svg", "g"])
async def test_a_drawing_is_an_anchor_of_the_size_that_it_has(site: Site, page: Page, tag: str) -> None:
    html = """
        <live-cursors><main><svg {} viewBox="0 0 10 10"><g {}><path d="M2 2H6V6H2Z"/></g>
        <path d="M9 9H900V900Z"/></svg></main></live-cursors>
    """.format(*('id="it"' if name == tag else "" for name in ("svg", "g")))
    style = (
        "svg { display: block; width: 200px; height: 200px; transform: scale(0.5); transform-origin: 0 0 }"
    )
    wire = await board(site, page, html, style)
    frame = await point(page, wire, 150, 80)
    expected = [100, 60, 200, 200] if tag == "svg" else [30, 10, 40, 40]
    assert [frame[name] for name in ("ax", "ay", "aw", "ah")] == expected
    await draw(wire, [1, 1, 1, 400, 300, "it", 50, 25, 100, 100])
    await drawn(page, ["Ada", *([150, 75] if tag == "svg" else [140, 80])])


async def test_a_surface_says_its_name_and_each_name_is_one(site: Site, page: Page) -> None:
    html = """
        <live-cursors name="a&quot;b"><div><b></b></div><div>not shared</div></live-cursors>
        <live-cursors name="a&quot;b"><div></div></live-cursors>
        <live-cursors name=""><live-region id="r"><div><live-cursors name="inner"><p></p></live-cursors></div></live-region>
        </live-cursors>
    """
    style = "div { height: 50px } b, p { display: block; margin: 0; height: 20px }"
    wire = await board(site, page, html, style)
    frame = await point(page, wire, 10, 10)
    assert [frame["y"], frame["h"], frame["surface"]] == [10, 50, 'a"b']
    assert await point(page, wire, 10, 60) == NOWHERE
    frame = await point(page, wire, 10, 160)
    assert [frame["y"], frame["h"], frame["surface"]] == [10, 20, "inner"]
    assert await point(page, wire, 10, 110) == NOWHERE
    frame = await point(page, wire, 10, 190)
    assert (frame["y"], frame["h"], "surface" in frame) == (40, 50, False)


async def test_elements_above_a_surface_are_not_part_of_it(site: Site, page: Page) -> None:
    style = "header { position: fixed; inset: 60px auto auto 0; width: 500px; height: 50px }"
    wire = await board(site, page, SURFACE + "<header></header>", style)
    assert (await point(page, wire, 150, 150))["x"] == 50
    assert await point(page, wire, 150, 80) == NOWHERE


# --- What is sent: when


async def test_a_pointer_that_leaves_is_nowhere(site: Site, page: Page, new_page: NewPage) -> None:
    wire = await board(site, page)
    there = {"type": "cursor", "x": 50, "y": 30, "w": 400, "h": 300}
    assert await point(page, wire, 150, 80) == there
    assert await point(page, wire, 600, 80) == NOWHERE
    await page.mouse.move(610, 80)
    assert await point(page, wire, 150, 80) == there
    leave = (
        "(id) => document.documentElement.dispatchEvent(new PointerEvent('pointerleave', {pointerId: id}))"
    )
    await page.evaluate(leave, 7)
    await says_nothing(wire, page)
    await page.evaluate(leave, 1)
    assert await wire.read() == NOWHERE
    assert (await point(page, wire, 151, 80))["x"] == 51
    await page.evaluate(
        """() => {
            Object.defineProperty(document, "hidden", { value: true });
            Object.defineProperty(document, "visibilityState", { value: "hidden" });
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    assert await wire.read() == NOWHERE
    await says_nothing(wire, page)


async def test_moves_are_sent_at_a_rate_and_the_last_one_always(site: Site, page: Page) -> None:
    site.body = region(SURFACE)
    await page.clock.install(time=0)
    await page.clock.pause_at(1000)
    await page.goto(site.url)
    wire = await site.wire()
    await wire.ready()
    await welcome(wire)
    await add_rule(page, STYLE)
    for rate, interval in [(30, 33), (20, 50), (4, 250)]:
        await wire.send("cursors", rate=rate)
        assert (await point(page, wire, 100 + rate, 60))["x"] == rate
        for x in (110, 120, 125):
            await page.mouse.move(x, 60)
        await says_nothing(wire, page)
        await page.clock.run_for(interval - 1)
        await says_nothing(wire, page)
        await page.clock.run_for(2)
        assert (await wire.read())["x"] == 25
        await page.clock.run_for(1000)
        await says_nothing(wire, page)
        # At once after stillness, and not if it is where it was.
        assert (await point(page, wire, 140, 60))["x"] == 40
        await page.mouse.move(150, 60)
        await page.mouse.move(140, 60)
        await page.clock.run_for(1000)
        await says_nothing(wire, page)
    # That it is gone does not wait.
    await page.mouse.move(170, 60)
    assert (await wire.read())["x"] == 70
    await page.evaluate(
        "document.documentElement.dispatchEvent(new PointerEvent('pointerleave', {pointerId: 1}))"
    )
    assert await wire.read() == NOWHERE


async def test_a_page_that_scrolls_under_a_still_pointer_moves_it(site: Site, page: Page) -> None:
    wire = await board(site, page, style="body { height: 5000px }")
    assert (await point(page, wire, 150, 80))["y"] == 30
    await page.evaluate("window.scrollTo(0, 25)")
    assert (await wire.read())["y"] == 55
    await page.evaluate("window.scrollTo(0, 2000)")
    assert await wire.read() == NOWHERE


async def test_nothing_is_sent_without_a_connection_and_the_place_again_with_the_next_move(
    site: Site, page: Page
) -> None:
    wire = await board(site, page)
    assert (await point(page, wire, 150, 80))["x"] == 50
    site.accepting.clear()
    await wire.close(1012)
    await eventually(page, STATE, "reconnecting")
    await page.mouse.move(160, 80)
    await page.mouse.move(150, 80)
    site.accepting.set()
    wire = await site.wire()
    await wire.ready()
    await page.mouse.move(170, 80)
    assert await wire.read() == {"type": "cursors"}
    await says_nothing(wire, page)
    await page.evaluate(
        "document.documentElement.dispatchEvent(new PointerEvent('pointerleave', {pointerId: 1}))"
    )
    await wire.send("cursors", you="me", rate=30, all=True)
    await render(wire, page, SURFACE)
    await says_nothing(wire, page)
    await page.mouse.move(150, 80)
    await page.mouse.move(150.2, 80)
    assert (await wire.read())["x"] == 50


async def test_the_first_finger_is_followed_until_it_is_lifted(site: Site, new_page: NewPage) -> None:
    page = await new_page(has_touch=True)
    wire = await board(site, page, style="main { touch-action: none }")
    devtools = await page.context.new_cdp_session(page)
    touched = {"type": "cursor", "x": 50, "y": 30, "w": 400, "h": 300, "touch": True}
    await touch(devtools, "touchStart", (150, 80))
    assert await wire.read() == touched
    await touch(devtools, "touchMove", (160, 80))
    assert await wire.read() == touched | {"x": 60}
    await touch(devtools, "touchStart", (160, 80), (300, 200))
    await touch(devtools, "touchMove", (160, 80), (320, 220))
    await says_nothing(wire, page)
    await touch(devtools, "touchEnd")
    assert await wire.read() == NOWHERE


async def test_touch_still_scrolls(site: Site, new_page: NewPage) -> None:
    page = await new_page(has_touch=True)
    wire = await board(site, page, style="body { height: 5000px }")
    await page.evaluate(
        """() => {
            window.prevented = false;
            for (const name of ["pointerdown", "pointermove", "touchstart", "touchmove"]) {
                window.addEventListener(name, (event) => (window.prevented ||= event.defaultPrevented));
            }
        }"""
    )
    devtools = await page.context.new_cdp_session(page)
    await touch(devtools, "touchStart", (150, 200))
    assert (await wire.read())["touch"]
    for y in range(200, 60, -20):
        await touch(devtools, "touchMove", (150, y))
    await eventually(page, "scrollY > 0")
    await touch(devtools, "touchEnd")
    frame = await wire.read()
    while frame != NOWHERE:
        frame = await wire.read()
    assert not await page.evaluate("window.prevented")


async def touch(devtools: CDPSession, kind: str, *points: tuple[float, float]) -> None:
    touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
    await devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


# --- What is drawn: where


@pytest.mark.parametrize(
    ("move", "place"),
    [
        ([40, 30, 400, 300], [140, 80]),
        ([40, 30, 800, 600], [120, 65]),
        ([40, 30, 200, 600], [180, 65]),
        ([40, 30], [140, 80]),
        ([40, 30, None, None], [140, 80]),
        ([40, 30, 800, 600, "word", 10, 10, 40, 20], [170, 260]),
        ([40, 30, 800, 600, "word", 10, 10], [160, 260]),
        ([40, 30, 800, 600, "hidden", 10, 10, 40, 20], [120, 65]),
        ([40, 30, 800, 600, "missing", 10, 10, 40, 20], [120, 65]),
        ([40, 30, 800, 600, "elsewhere", 10, 10, 40, 20], [120, 65]),
        ([40, 30, 800, 600, '"]\\', 10, 10, 40, 20], [120, 65]),
    ],
)
async def test_a_cursor_is_drawn_in_proportion_or_over_its_anchor(
    site: Site, page: Page, move: list[Any], place: list[int]
) -> None:
    html = """
        <live-cursors><main><p data-cursor-anchor="word"></p><p id="hidden"></p></main></live-cursors>
        <p id="elsewhere">here</p>
    """
    style = "#hidden { display: none } [data-cursor-anchor] { margin: 0; position: absolute; top: 250px; left: 150px; width: 80px; height: 20px }"
    wire = await board(site, page, html, style)
    await draw(wire, [1, *move])
    await drawn(page, ["Ada", *place])


@pytest.mark.parametrize(
    ("style", "place"),
    [
        ("main { border: 10px solid; width: 380px; height: 280px }", [110 + 95, 60 + 140]),
        ("main { transform: scale(0.5); transform-origin: 0 0 }", [150, 125]),
        ("main { zoom: 0.5; margin: 100px 0 0 200px }", [150, 125]),
        ("html { transform: translate(20px, 30px) }", [220, 230]),
    ],
)
async def test_borders_transforms_and_zoom_are_taken_into_account(
    site: Site, page: Page, style: str, place: list[int]
) -> None:
    wire = await board(site, page, style=style)
    await draw(wire, [1, 10, 20, 40, 40])
    await drawn(page, ["Ada", *place])


async def test_css_zoom_is_taken_into_account_where_rectangles_leave_it_out(
    site: Site, browser: Browser
) -> None:
    """As in Safari."""
    chromium = await launch(browser.browser_type, "--disable-blink-features=StandardizedBrowserZoom")
    pages = NewPage(chromium)
    page = await pages()
    style = "body { zoom: 2 } main { zoom: 0.25; margin: 100px 0 0 200px }"
    wire = await board(site, page, style=style)
    assert await page.locator("main").evaluate("main => main.getBoundingClientRect().width") == 400
    await draw(wire, [1, 100, 150, 400, 300])
    await drawn(page, ["Ada", 150, 125])
    assert await point(page, wire, 150, 125) == {"type": "cursor", "x": 100, "y": 150, "w": 400, "h": 300}
    assert not pages.unexpected
    await chromium.close()


async def test_cursors_follow_what_they_are_over(site: Site, page: Page) -> None:
    html = '<live-cursors><main><p id="word">word</p></main></live-cursors>'
    style = """
        body { height: 5000px } h1 { margin: 0; font-size: 16px; height: 30px } main { position: relative }
        p { margin: 0; position: absolute; top: 100px; width: 40px }
    """
    wire = await board(site, page, html, style)
    await draw(wire, [1, 10, 10, 400, 300, "word", 10, 10, 40, 20])
    await drawn(page, ["Ada", 110, 160])
    await page.evaluate("window.scrollTo(0, 60)")
    await drawn(page, ["Ada", 110, 100])
    await page.evaluate("window.scrollTo(0, 2000)")
    await drawn(page)
    await page.evaluate("window.scrollTo(0, 0)")
    await drawn(page, ["Ada", 110, 160])
    await render(wire, page, "<h1>Title</h1>" + html)
    await drawn(page, ["Ada", 110, 190])
    await add_rule(page, "body main { margin-left: 50% }")
    await page.set_viewport_size({"width": 1000, "height": 600})
    await drawn(page, ["Ada", 510, 190])
    await render(wire, page, "<live-cursors><main></main></live-cursors>")
    await drawn(page, ["Ada", 510, 60])
    await render(wire, page, "<p>nothing</p>")
    await drawn(page)
    await render(wire, page, html)
    await drawn(page, ["Ada", 510, 160])


async def test_unannounced_changes_are_followed_soon(site: Site, page: Page) -> None:
    html = '<live-cursors><main><p id="word">word</p></main></live-cursors>'
    wire = await board(site, page, html, "p { margin: 0 }")
    await draw(wire, [1, 10, 10, 400, 300, "word", 10, 10, 40, 20])
    await drawn(page, ["Ada", 200, 60])
    await add_rule(page, "body main { margin-left: 200px; width: 100px }")
    await drawn(page, ["Ada", 225, 60])


async def test_cursors_outside_the_visible_part_of_a_scrolling_surface_are_not_drawn(
    site: Site, page: Page
) -> None:
    html = "<article><live-cursors><main><p></p></main></live-cursors></article>"
    style = """
        article { position: absolute; inset: 0; overflow: auto; height: 250px }
        main { overflow: auto; scrollbar-width: none } p { margin: 0; height: 900px }
    """
    wire = await board(site, page, html, style)
    people = {str(number): {"id": str(number), "name": str(number)} for number in range(1, 5)}
    # On the surface, above, below, and shown by it but hidden by what is around.
    await draw(
        wire,
        [1, 10, 210, 400, 900],
        [2, 10, 190, 400, 900],
        [3, 10, 510, 400, 900],
        [4, 10, 450, 400, 900],
        who=people,
    )
    await page.evaluate("document.querySelector('main').scrollTo(0, 200)")
    await drawn(page, ["1", 110, 60])
    await page.evaluate("document.querySelector('article').scrollTo(0, 100)")
    await drawn(page, ["4", 110, 200])


async def test_cursors_of_a_surface_are_on_that_one(site: Site, page: Page) -> None:
    html = """
        <live-cursors><main></main></live-cursors>
        <live-cursors name="b" guest="Invitée"><main></main></live-cursors>
    """
    wire = await board(site, page, html, "main { margin-top: 10px; height: 100px }")
    await draw(
        wire,
        [1, 10, 10, 400, 100],
        [2, 20, 20, 400, 100, None, None, None, None, None, "b"],
        [3, 30, 30, 400, 100, None, None, None, None, None, "c"],
        who={"1": ADA, "2": {"id": "b"}, "3": {"id": "c"}},
    )
    await drawn(page, ["Ada", 110, 20], ["Invitée", 120, 140])


# --- What is drawn: who


async def test_own_cursors_are_not_drawn_whichever_comes_first(site: Site, page: Page) -> None:
    wire = await board(site, page)
    who = {"1": ADA, "2": {"id": "me", "name": "Me"}, "3": {"id": "me", "name": "Me, elsewhere"}}
    await draw(wire, [1, 1, 1], [2, 2, 2], [3, 3, 3], who=who)
    await drawn(page, ["Ada", 101, 51])
    await wire.send("cursors", you="a")
    await wire.send("cursors", moves=[[1, 5, 5]])
    await drawn(page, ["Me", 102, 52], ["Me, elsewhere", 103, 53])
    await wire.send("cursors", you="")  # no longer present
    await wire.send("cursors", moves=[[1, 6, 6]])
    await drawn(page, ["Me", 102, 52], ["Me, elsewhere", 103, 53], ["Ada", 106, 56])


async def test_a_user_without_a_name_is_called_as_the_surface_says(site: Site, page: Page) -> None:
    wire = await board(site, page)
    await draw(wire, [1, 1, 1], [2, 2, 2], who={"1": {"id": "a"}, "2": {"id": "b", "name": " "}})
    await drawn(page, ["Gast", 101, 51], ["Gast", 102, 52])


async def test_names_are_text_and_change_with_their_colours(site: Site, page: Page) -> None:
    wire = await board(site, page)
    await draw(wire, [1, 1, 1], who={"1": {"id": "a", "name": "<b>Bob</b>", "color": "rgb(0, 0, 255)"}})
    await drawn(page, ["<b>Bob</b>", 101, 51])
    label = page.locator("presence-cursors .label")
    await expect(label).to_have_css("background-color", "rgb(0, 0, 255)")
    await wire.send("cursors", who={"1": {"id": "a", "name": "Bobby", "color": "red; inset: 0"}})
    await drawn(page, ["Bobby", 101, 51])
    await expect(label).to_have_css("background-color", "rgb(91, 91, 214)")
    await wire.send("cursors", who={"1": {"id": "a", "name": "Bobby", "color": "rgb(0, 128, 0)"}})
    await expect(label).to_have_css("background-color", "rgb(0, 128, 0)")


async def test_cursors_that_are_gone_or_not_among_all_are_removed(site: Site, page: Page) -> None:
    wire = await board(site, page)
    who = {"1": ADA, "2": {"id": "b", "name": "Bob"}, "3": {"id": "c", "name": "Eve"}}
    await draw(wire, [1, 1, 1], [2, 2, 2], [3, 3, 3], who=who)
    await drawn(page, ["Ada", 101, 51], ["Bob", 102, 52], ["Eve", 103, 53])
    await wire.send("cursors", moves=[[2, 22, 22]], gone=[2, 99])
    await drawn(page, ["Ada", 101, 51], ["Eve", 103, 53])
    await wire.send("cursors", all=True, who={"4": {"id": "d", "name": "Dan"}}, moves=[[3, 3, 3], [4, 4, 4]])
    await drawn(page, ["Dan", 104, 54], ["Eve", 103, 53])
    await wire.send("cursors", all=True)
    await drawn(page)


async def test_a_lost_connection_leaves_no_cursors(site: Site, page: Page) -> None:
    wire = await board(site, page)
    await draw(wire, [1, 1, 1])
    await drawn(page, ["Ada", 101, 51])
    site.accepting.clear()
    await page.evaluate(
        "document.addEventListener('presence-client:offline', () =>"
        " window.left = document.querySelector('presence-cursors').shadowRoot.querySelectorAll('.cursor').length)"
    )
    await wire.close(1012)
    await eventually(page, "window.left", 0)
    site.accepting.set()
    wire = await site.wire()
    await wire.ready()
    await wire.send("cursors", moves=[[1, 1, 1]])
    await drawn(page)
    await draw(wire, [1, 2, 2])
    await drawn(page, ["Ada", 102, 52])


async def test_the_fifty_who_moved_last_are_drawn(site: Site, page: Page) -> None:
    wire = await board(site, page)
    who = {str(n): {"id": str(n), "name": f"{n:02}"} for n in range(60)}
    who["0"] = {"id": "me"}
    await draw(wire, *([n, n, n] for n in range(60)), who=who)
    await drawn(page, *([f"{n:02}", 100 + n, 50 + n] for n in range(10, 60)))
    # Neither the page's own cursor nor hidden ones count.
    await wire.send("cursors", moves=[[0, 1, 1], [59, 1, -60], [3, 33, 33]])
    expected = [[f"{n:02}", 100 + n, 50 + n] for n in range(10, 59)]
    await drawn(page, *expected, ["03", 133, 83])
    await wire.send("cursors", gone=[20])
    await drawn(page, *(place for place in expected if place[0] != "20"), ["03", 133, 83], ["09", 109, 59])


async def test_many_who_come_take_the_place_of_those_alone_who_moved_first(site: Site, page: Page) -> None:
    wire = await board(site, page)
    who = {str(n): {"id": str(n), "name": f"{n:02}"} for n in range(60)}
    await draw(wire, *([n, n, n] for n in range(30)), who=who)
    await drawn(page, *([f"{n:02}", 100 + n, 50 + n] for n in range(30)))
    await page.evaluate(
        """() => {
            window.removed = 0;
            const stage = document.querySelector("presence-cursors").shadowRoot.firstElementChild;
            new MutationObserver((records) => {
                for (const { removedNodes } of records) window.removed += removedNodes.length;
            }).observe(stage, { childList: true });
        }"""
    )
    await wire.send("cursors", moves=[[n, n, n] for n in range(30, 60)])
    await drawn(page, *([f"{n:02}", 100 + n, 50 + n] for n in range(10, 60)))
    assert await page.evaluate("window.removed") == 10


# --- What is drawn: how


async def still_clock(site: Site, page: Page) -> Wire:
    """A surface in a page whose timers and frames run only when the test says so."""
    site.body = region(SURFACE)
    wire = await paused(site, page)
    await wire.ready()
    await welcome(wire)
    await add_rule(page, STYLE)
    await page.evaluate(
        """() => {
            window.frames_asked = 0;
            const request = window.requestAnimationFrame;
            window.requestAnimationFrame = (run) => (window.frames_asked += 1, request(run));
        }"""
    )
    return wire


async def left(page: Page) -> float:
    return float(
        await page.evaluate(
            "document.querySelector('presence-cursors').shadowRoot.querySelector('.cursor').getBoundingClientRect().left"
        )
    )


@pytest.mark.parametrize(("interval", "step"), [(100, 100), (40, 40), (1000, 120), (2, 16)])
async def test_a_move_takes_as_long_as_there_was_between_the_last_two(
    site: Site, page: Page, interval: int, step: int
) -> None:
    wire = await still_clock(site, page)
    await draw(wire, [1, 0, 0, 400, 300])
    await told(wire)
    await page.clock.run_for(500)
    assert await left(page) == 100
    await wire.send("cursors", moves=[[1, 1, 0, 400, 300]])
    await told(wire)
    await page.clock.run_for(interval)
    before = await left(page)
    await wire.send("cursors", moves=[[1, 201, 0, 400, 300]])
    await told(wire)
    shown = []
    for _ in range(step + 40):
        await page.clock.run_for(1)
        shown.append(await left(page))
    assert shown == sorted(shown)
    arrived = shown.index(301) + 1
    assert step <= arrived <= step + 17  # a frame
    # Linear: at half the time it is half the way, but for the frame that is not drawn yet.
    halfway = shown[step // 2 - 1] - before
    if step > 30:
        assert (301 - before) * (step / 2 - 17) / step <= halfway <= (301 - before) * (step / 2 + 1) / step
    # And then it is still: no frame is asked for.
    asked = await page.evaluate("window.frames_asked")
    await page.clock.run_for(2_000)
    assert await page.evaluate("window.frames_asked") == asked


async def test_with_reduced_motion_cursors_jump(site: Site, page: Page) -> None:
    await page.emulate_media(reduced_motion="reduce")
    wire = await still_clock(site, page)
    await draw(wire, [1, 0, 0, 400, 300])
    await told(wire)
    await page.clock.run_for(17)
    await wire.send("cursors", moves=[[1, 200, 0, 400, 300]])
    await told(wire)
    await page.clock.run_for(17)
    assert await left(page) == 300
    await expect(page.locator(LOOK)).to_have_css("animation-name", "none")


async def test_labels_fade_when_still_and_cursors_dim_when_idle(site: Site, page: Page) -> None:
    wire = await still_clock(site, page)
    await draw(wire, [1, 0, 0])
    await told(wire)
    await page.clock.run_for(2_000)
    cursor, label = page.locator(LOOK), page.locator("presence-cursors .label")
    await expect(label).to_have_css("opacity", "1")
    await page.clock.run_for(2_000)
    await expect(label).to_have_css("opacity", "0")
    await expect(cursor).to_have_css("opacity", "1")
    await page.clock.run_for(3_000)
    await expect(cursor).to_have_css("opacity", "0.4")
    # To be told of again is not to have moved.
    await draw(wire, [1, 0, 0])
    await told(wire)
    await page.clock.run_for(1_000)
    await expect(label).to_have_css("opacity", "0")
    await wire.send("cursors", moves=[[1, 1, 0]])
    await told(wire)
    await page.clock.run_for(100)
    await expect(label).to_have_css("opacity", "1")
    await expect(cursor).to_have_css("opacity", "1")


async def test_a_finger_is_a_pulse_that_lingers_when_it_is_lifted(site: Site, page: Page) -> None:
    wire = await board(site, page)
    await draw(wire, [1, 10, 10, 400, 300, None, None, None, None, None, None, True])
    await drawn(page, ["Ada", 110, 60])
    await expect(page.locator("presence-cursors .pulse")).to_be_visible()
    await expect(page.locator("presence-cursors .arrow")).to_be_hidden()
    await page.evaluate(
        """() => {
            window.lifted = 0;
            const { animate } = Element.prototype;
            Element.prototype.animate = function (...some) {
                window.lifted += 1;
                return animate.apply(this, some);
            };
        }"""
    )
    await wire.send("cursors", gone=[1])
    await drawn(page)
    assert await page.evaluate("window.lifted") == 1
    await draw(wire, [1, 10, 10, 400, 300])
    await expect(page.locator("presence-cursors .arrow")).to_be_visible()
    await expect(page.locator("presence-cursors .pulse")).to_be_hidden()


async def test_labels_stay_in_the_window(site: Site, page: Page) -> None:
    await page.set_viewport_size({"width": 520, "height": 360})
    wire = await board(site, page)
    who = {
        "1": {"id": "a", "name": "A name that is very long, and goes on and on"},
        "2": {"id": "b", "name": "B"},
    }
    await draw(wire, [1, 399, 299, 400, 300], [2, 300, 150, 400, 300], who=who)
    await expect(page.locator(CURSOR)).to_have_count(2)
    boxes = await page.evaluate(
        """Array.from(document.querySelector("presence-cursors").shadowRoot.querySelectorAll(".label"), (label) => {
            const { left, top, right, bottom } = label.getBoundingClientRect();
            return [left >= 0, top >= 0, right <= innerWidth, bottom <= innerHeight, label.scrollWidth > label.clientWidth];
        })"""
    )
    assert sorted(boxes) == [[True, True, True, True, False], [True, True, True, True, True]]


@pytest.mark.parametrize(
    "color",
    ["#111", "#fff", "#e74c3c", "#3498db", "#2ecc71", "#f39c12", "#9b59b6", "gold", "oklch(0.7 0.2 330)", ""],
)
async def test_labels_can_be_read_on_any_colour(site: Site, page: Page, color: str) -> None:
    wire = await board(site, page)
    await draw(wire, [1, 1, 1], who={"1": {"id": "a", "name": "Ada", "color": color}})
    await drawn(page, ["Ada", 101, 51])
    contrast = await page.evaluate(
        """() => {
            const label = document.querySelector("presence-cursors").shadowRoot.querySelector(".label");
            const context = new OffscreenCanvas(1, 1).getContext("2d");
            const luminance = (color) => {
                context.fillStyle = color;
                context.fillRect(0, 0, 1, 1);
                const [r, g, b] = Array.from(context.getImageData(0, 0, 1, 1).data, (byte) =>
                    byte <= 10 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const { color, backgroundColor } = getComputedStyle(label);
            const [dark, light] = [luminance(color), luminance(backgroundColor)].sort((a, b) => a - b);
            return (light + 0.05) / (dark + 0.05);
        }"""
    )
    assert contrast >= 4.5


async def test_the_layer_is_out_of_the_way(site: Site, page: Page) -> None:
    wire = await board(site, page)
    await draw(wire, [1, 10, 10])
    await drawn(page, ["Ada", 110, 60])
    layer = page.locator("presence-cursors")
    await expect(layer).to_have_attribute("aria-hidden", "true")
    assert await page.evaluate("document.querySelector('presence-cursors').parentElement.tagName") == "HTML"
    assert await page.evaluate("document.elementFromPoint(115, 65).tagName") == "MAIN"
    await wire.render(f"<body>{SURFACE}<p>new</p></body>", "*")
    await expect(page.locator("p")).to_have_text("new")
    await drawn(page, ["Ada", 110, 60])
    await page.emulate_media(media="print")
    await expect(layer).to_be_hidden()


async def test_a_pages_style_sheet_has_its_way(site: Site, page: Page) -> None:
    wire = await board(site, page)
    await draw(wire, [1, 10, 10], [2, 50, 50], who={"1": ADA, "2": {"id": "b", "name": "Bob"}})
    await drawn(page, ["Ada", 110, 60], ["Bob", 150, 100])
    await add_rule(
        page,
        """
        * { letter-spacing: 9px; text-transform: uppercase }
        html { --presence-color: rgb(1, 2, 3); --presence-cursor-size: 30px; --presence-cursor-text: rgb(4, 5, 6);
               --presence-cursor-font: 700 20px/30px monospace }
        presence-cursors { z-index: 7 }
        presence-cursors::part(cursor) { visibility: hidden }
        presence-cursors::part(arrow) { visibility: visible; stroke: rgb(7, 8, 9) }
        presence-cursors::part(label) { visibility: visible; border-radius: 3px }
        """,
    )
    ada, bob = (page.locator(CURSOR).filter(has_text=name) for name in ("Ada", "Bob"))
    await expect(page.locator("presence-cursors")).to_have_css("z-index", "7")
    await expect(bob.locator(".label")).to_have_css("background-color", "rgb(1, 2, 3)")
    await expect(ada.locator(".label")).to_have_css("background-color", "rgb(255, 0, 0)")
    await expect(ada.locator(".label")).to_have_css("color", "rgb(4, 5, 6)")
    await expect(ada.locator(".label")).to_have_css("font-size", "20px")
    await expect(ada.locator(".label")).to_have_css("border-radius", "3px")
    await expect(ada.locator(".label")).to_have_css("letter-spacing", "normal")
    await expect(ada.locator(".label")).to_have_css("text-transform", "none")
    await expect(ada.locator(".arrow")).to_have_css("width", "30px")
    await expect(ada.locator(".arrow")).to_have_css("stroke", "rgb(7, 8, 9)")
    await expect(ada).to_have_css("visibility", "hidden")


@pytest.mark.parametrize("switch", ["html", "live-cursors"])
async def test_cursors_can_be_switched_off(site: Site, page: Page, switch: str) -> None:
    wire = await board(site, page)
    await draw(wire, [1, 10, 10])
    await drawn(page, ["Ada", 110, 60])
    visible = await page.evaluate(
        """async (switched) => {
            document.querySelector(switched).dataset.presenceCursors = "off";
            await null;
            const layer = document.querySelector("presence-cursors");
            const { length } = layer.shadowRoot.querySelectorAll(".cursor");
            return length || (switched === "html" && getComputedStyle(layer).display !== "none");
        }""",
        switch,
    )
    assert not visible
    await wire.send("cursors", moves=[[1, 20, 20]])
    await told(wire)
    await drawn(page)
    # One's own pointer goes on being shown to the others.
    assert (await point(page, wire, 150, 80))["x"] == 50
    await page.evaluate(
        "(switched) => document.querySelector(switched).dataset.presenceCursors = 'on'", switch
    )
    await drawn(page, ["Ada", 120, 70])
