"""The whiteboard of the example project in real browsers: all see what one draws, through outages and restarts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from playwright.async_api import CDPSession, Locator, Page, expect

from tests.browser.conftest import NewPage
from tests.browser.harness import eventually
from tests.servers import SiteServer

SOON = 5_000  # milliseconds: a closed tab is gone after GRACE
LINE = [(200, 300), (400, 500), (700, 300), (1000, 500)]
LIVE = "document.documentElement.dataset.presenceState"

Point = tuple[float, float]


@pytest.fixture(scope="module")
def demo() -> Iterator[SiteServer]:
    with SiteServer() as site:
        yield site


async def board(page: Page, demo: SiteServer, name: str, person: str = "guest") -> Page:
    await page.goto(f"{demo.url}/as/{person}/?next=/whiteboard/{name}/")
    await eventually(page, LIVE, "live")
    return page


def strokes(page: Page) -> Locator:
    """The strokes that the server has kept."""
    return page.locator("#drawing path[data-id]")


def everything(page: Page) -> Locator:
    return page.locator("#drawing path")


async def shapes(page: Page) -> list[Any]:
    """Return path, colour, width and id of each stroke."""
    script = "Array.from(document.querySelectorAll('#drawing path'), path => "
    script += "['d', 'color', 'stroke-width', 'data-id'].map(name => path.getAttribute(name)))"
    found: list[Any] = await page.evaluate(script)
    return found


async def spots(page: Page, points: Sequence[Point]) -> list[Point]:
    """Return where these points of the board are in the window."""
    box = await page.locator("#drawing").bounding_box()
    assert box is not None
    return [(box["x"] + x * box["width"] / 1600, box["y"] + y * box["height"] / 1280) for x, y in points]


async def spot(page: Page, point: Point) -> Point:
    return (await spots(page, [point]))[0]


async def press(page: Page, points: Sequence[Point]) -> None:
    """Draw with the mouse, and do not let go."""
    first, *others = await spots(page, points)
    await page.mouse.move(*first)
    await page.mouse.down()
    for point in others:
        await page.mouse.move(*point, steps=4)


async def draw(page: Page, points: Sequence[Point] = LINE) -> None:
    await press(page, points)
    await page.mouse.up()


async def points_of(path: Locator) -> list[Point]:
    """The ends of a stroke in the units of the board, by what it really covers."""
    script = "path => [0, path.getTotalLength()].map(at => path.getPointAtLength(at)).map(({x, y}) => [x, y])"
    return [(x, y) for x, y in await path.evaluate(script)]


def near(found: Sequence[Point], wanted: Sequence[Point], by: float = 4) -> bool:
    return len(found) == len(wanted) and all(
        abs(one[0] - other[0]) <= by and abs(one[1] - other[1]) <= by
        for one, other in zip(found, wanted, strict=True)
    )


async def touch(cdp: CDPSession, kind: str, *points: Point) -> None:
    await cdp.send(
        "Input.dispatchTouchEvent",
        {"type": kind, "touchPoints": [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]},
    )


async def test_two_people_draw_on_one_board_in_windows_of_different_sizes(
    demo: SiteServer, new_page: NewPage
) -> None:
    ada = await board(await new_page(viewport={"width": 1280, "height": 800}), demo, "two", "ada")
    grace = await board(await new_page(viewport={"width": 500, "height": 900}), demo, "two", "grace")
    await draw(ada)
    await expect(strokes(grace)).to_have_count(1)
    assert near(await points_of(strokes(grace)), [LINE[0], LINE[-1]])
    await grace.get_by_label("Broad").check(force=True)
    await draw(grace, [(1500, 900), (1400, 100)])
    await expect(strokes(ada)).to_have_count(2)
    assert near(await points_of(strokes(ada).nth(1)), [(1500, 900), (1400, 100)])
    assert await shapes(ada) == await shapes(grace)
    colors = await ada.locator(".company .face").evaluate_all(
        "all => all.map(one => one.dataset.presenceColor)"
    )
    assert [shape[1:3] for shape in await shapes(ada)] == [[colors[0], "14"], [colors[1], "32"]]


async def test_others_see_a_stroke_before_it_is_finished(demo: SiteServer, new_page: NewPage) -> None:
    ada = await board(await new_page(), demo, "growing", "ada")
    grace = await board(await new_page(), demo, "growing", "grace")
    await press(ada, LINE[:2])
    await expect(everything(ada)).to_have_count(1)
    await expect(everything(grace)).to_have_count(1)
    length = "document.querySelector('#drawing path').getTotalLength()"
    before = await grace.evaluate(length)
    await ada.mouse.move(*await spot(ada, LINE[2]), steps=4)
    await eventually(grace, f"{length} > {before} + 300")
    await expect(strokes(grace)).to_have_count(0)
    await ada.mouse.up()
    await expect(strokes(grace)).to_have_count(1)
    await expect(everything(grace)).to_have_count(1)
    assert await shapes(ada) == await shapes(grace)


async def test_a_newcomer_and_a_reload_see_all_of_it(demo: SiteServer, new_page: NewPage) -> None:
    ada = await board(await new_page(), demo, "later", "ada")
    for y in (100, 500, 900):
        await draw(ada, [(100, y), (800, y - 80), (1500, y)])
    await draw(ada, [(800, 600)])  # a dot
    await expect(strokes(ada)).to_have_count(4)
    drawn = await shapes(ada)
    grace = await board(await new_page(), demo, "later", "grace")
    assert await shapes(grace) == drawn
    await ada.reload()
    await eventually(ada, LIVE, "live")
    assert await shapes(ada) == drawn


async def test_undo_takes_ones_own_last_stroke_from_everybodys_board(
    demo: SiteServer, new_page: NewPage
) -> None:
    ada = await board(await new_page(), demo, "undo", "ada")
    grace = await board(await new_page(), demo, "undo", "grace")
    await draw(ada, LINE)
    await draw(ada, [(100, 100), (200, 100)])
    await expect(strokes(grace)).to_have_count(2)
    await draw(grace, [(900, 900), (800, 900)])
    await expect(strokes(ada)).to_have_count(3)
    await ada.get_by_role("button", name="Undo").click()
    for page in (ada, grace):
        await expect(strokes(page)).to_have_count(2)
    assert near(await points_of(strokes(grace).first), [LINE[0], LINE[-1]])
    await ada.keyboard.press("Control+z")
    for page in (ada, grace):
        await expect(strokes(page)).to_have_count(1)
    await ada.get_by_role("button", name="Undo").click()  # nothing of hers is left
    await grace.get_by_role("button", name="Undo").focus()
    await grace.keyboard.press("Enter")
    for page in (ada, grace):
        await expect(everything(page)).to_have_count(0)


async def test_clearing_the_board_is_seen_and_told(demo: SiteServer, new_page: NewPage) -> None:
    ada = await board(await new_page(), demo, "clear", "ada")
    grace = await board(await new_page(), demo, "clear", "grace")
    await draw(ada)
    await expect(strokes(grace)).to_have_count(1)
    await expect(grace.locator(".hint")).to_be_hidden()
    await grace.get_by_role("button", name="Clear board").click()
    for page in (ada, grace):
        await expect(everything(page)).to_have_count(0)
        await expect(page.locator("#toasts")).to_contain_text("Grace cleared the board")
        await expect(page.locator(".hint")).to_be_visible()


async def test_a_page_that_comes_back_catches_up_and_keeps_what_was_drawn_meanwhile(
    demo: SiteServer, new_page: NewPage
) -> None:
    ada = await new_page()
    await ada.add_init_script(
        "window.WebSocket = class extends WebSocket { constructor(...args) { super(...args); window.socket = this } }"
    )
    await board(ada, demo, "back", "ada")
    grace = await board(await new_page(), demo, "back", "grace")
    await draw(grace, [(100, 100), (200, 200)])
    await draw(grace, [(300, 300), (400, 400)])
    await expect(strokes(ada)).to_have_count(2)
    await ada.context.set_offline(True)
    await ada.evaluate("socket.close()")
    await eventually(ada, LIVE, "reconnecting")
    await grace.get_by_role("button", name="Undo").click()
    await draw(grace, [(500, 500), (600, 600)])
    await draw(ada, LINE)
    await expect(everything(ada)).to_have_count(3)
    await expect(strokes(grace)).to_have_count(2)
    await ada.context.set_offline(False)
    await eventually(ada, LIVE, "live")
    for page in (ada, grace):
        await expect(strokes(page)).to_have_count(3)
        await expect(everything(page)).to_have_count(3)
    assert await shapes(ada) == await shapes(grace)
    new_page.allow("ERR_INTERNET_DISCONNECTED")


async def test_a_refused_stroke_does_not_stay_on_the_board(demo: SiteServer, new_page: NewPage) -> None:
    demo.allow("was refused")
    ada = await board(await new_page(), demo, "refused", "ada")
    grace = await board(await new_page(), demo, "refused", "grace")
    await ada.evaluate("document.querySelector('#tools [name=width]:checked').value = 'a yard'")
    await draw(ada)
    await expect(everything(ada)).to_have_count(0)
    await expect(ada.locator("#unkept button")).to_have_count(0)
    await ada.reload()
    await eventually(ada, LIVE, "live")
    await draw(ada)
    await expect(strokes(grace)).to_have_count(1)
    await expect(everything(grace)).to_have_count(1)


async def test_a_stroke_ends_at_the_edge_and_a_long_one_is_several(
    demo: SiteServer, new_page: NewPage
) -> None:
    ada = await board(await new_page(), demo, "long", "ada")
    await press(ada, [(800, 500), (-300, 500)])
    await ada.mouse.up()
    await expect(strokes(ada)).to_have_count(1)
    assert near(await points_of(strokes(ada).first), [(800, 500), (0, 500)])
    zigzag: list[Point] = [(100 + 5 * n % 1400, 100 if n % 2 else 900) for n in range(130)]
    await draw(ada, zigzag)
    await expect(strokes(ada)).to_have_count(3)
    ends = [await points_of(path) for path in await strokes(ada).all()]
    assert ends[1][1] == ends[2][0]


async def test_the_other_mouse_button_draws_nothing(demo: SiteServer, new_page: NewPage) -> None:
    ada = await board(await new_page(), demo, "buttons", "ada")
    await ada.mouse.move(*await spot(ada, (300, 300)))
    await ada.mouse.down(button="right")
    await ada.mouse.move(*await spot(ada, (600, 600)))
    await ada.mouse.up(button="right")
    await draw(ada, LINE)
    await expect(strokes(ada)).to_have_count(1)


async def test_a_finger_draws_and_two_fingers_zoom(demo: SiteServer, new_page: NewPage) -> None:
    ada = await new_page(viewport={"width": 400, "height": 800}, has_touch=True, is_mobile=True)
    await board(ada, demo, "touch", "ada")
    grace = await board(await new_page(), demo, "touch", "grace")
    cdp = await ada.context.new_cdp_session(ada)
    await touch(cdp, "touchStart", await spot(ada, LINE[0]))
    for point in LINE[1:]:
        await touch(cdp, "touchMove", await spot(ada, point))
    await touch(cdp, "touchEnd")
    await expect(strokes(grace)).to_have_count(1)
    assert near(await points_of(strokes(grace)), [LINE[0], LINE[-1]], by=8)
    one, other = await spot(ada, (700, 500)), await spot(ada, (900, 500))
    await touch(cdp, "touchStart", one)
    await expect(everything(grace)).to_have_count(2)  # and so it has come back to ada, too
    await touch(cdp, "touchStart", one, other)
    await expect(everything(grace)).to_have_count(1)
    await expect(everything(ada)).to_have_count(1)
    for step in range(1, 8):
        await touch(cdp, "touchMove", (one[0] - 8 * step, one[1]), (other[0] + 8 * step, other[1]))
    await touch(cdp, "touchEnd")
    await draw(grace, [(100, 100), (200, 100)])
    await expect(strokes(ada)).to_have_count(2)
    await expect(everything(ada)).to_have_count(2)


async def test_cursors_are_over_the_same_place_and_can_be_switched_off(
    demo: SiteServer, new_page: NewPage
) -> None:
    ada = await board(await new_page(viewport={"width": 1280, "height": 800}), demo, "cursors", "ada")
    grace = await board(await new_page(viewport={"width": 500, "height": 900}), demo, "cursors", "grace")
    cursor, arrow = ada.locator("presence-cursors .cursor"), ada.locator("presence-cursors .arrow")
    for point in ((700, 400), (1100, 800)):
        await grace.mouse.move(*await spot(grace, point))
        x, y = await spot(ada, point)
        await eventually(
            ada,
            "(() => { const box = document.querySelector('presence-cursors').shadowRoot.querySelector('.cursor')"
            f"?.getBoundingClientRect(); return box && Math.hypot(box.x - {x}, box.y - {y}) < 3; }})()",
        )
    await expect(cursor).to_have_text("grace")
    await ada.get_by_role("switch", name="Show cursors").uncheck()
    await expect(arrow).to_be_hidden()
    await ada.reload()
    await eventually(ada, LIVE, "live")
    await expect(ada.get_by_role("switch", name="Show cursors")).not_to_be_checked()
    await grace.mouse.move(*await spot(grace, (300, 300)))
    await draw(grace)
    await expect(strokes(ada)).to_have_count(1)
    await expect(arrow).to_be_hidden()
    await ada.get_by_role("switch", name="Show cursors").check()
    await grace.mouse.move(*await spot(grace, (500, 500)))
    await expect(arrow).to_be_visible()
    await grace.close()
    await expect(cursor).to_have_count(0, timeout=SOON)


async def test_all_but_drawing_can_be_done_with_the_keyboard(demo: SiteServer, new_page: NewPage) -> None:
    ada = await board(await new_page(), demo, "keys", "ada")
    await ada.get_by_role("switch").focus()
    reached = []
    for _ in range(3):
        await ada.keyboard.press("Tab")
        reached.append(
            await ada.evaluate("document.activeElement.name || document.activeElement.textContent")
        )
    assert reached == ["width", "Undo", "Clear board"]
    await ada.get_by_label("Medium").focus()
    await ada.keyboard.press("ArrowRight")
    await expect(ada.get_by_label("Broad")).to_be_checked()
    await draw(ada)
    await expect(strokes(ada)).to_have_attribute("stroke-width", "32")


@pytest.mark.redis
async def test_two_servers_share_one_board(valkey_url: str, new_page: NewPage) -> None:
    with (
        SiteServer({"REDIS_URL": valkey_url}) as here,
        SiteServer({"REDIS_URL": valkey_url, "DB": here.variables["DB"]}) as there,
    ):
        ada = await board(await new_page(), here, "servers", "ada")
        grace = await board(await new_page(), there, "servers", "grace")
        await draw(ada)
        await expect(strokes(grace)).to_have_count(1)
        await draw(grace, [(100, 900), (300, 900)])
        await expect(ada.locator("presence-cursors .cursor")).to_have_text("grace")
        await expect(strokes(ada)).to_have_count(2)
        assert await shapes(ada) == await shapes(grace)
        await new_page.close()
