"""Looks of the example's pages with nine people on them, on a phone and in both colour schemes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import NewPage
from tests.live_pages import LivePage, Person
from tests.servers import SiteServer

PHONE = {"width": 390, "height": 844}
OTHERS = ["grace", "alan", "katherine", "guest", "guest", "guest", "guest", "guest"]

# Pairs of elements, the second of which covers a part of the first.
COVERED = """() => {
  const boxes = (selector) => Array.from(document.querySelectorAll(selector), (one) => one.getBoundingClientRect());
  return boxes("#toasts, .toast").flatMap((toast) =>
    boxes("a, button, input, textarea, #drawing").filter(
      (box) => box.width && box.left < toast.right && toast.left < box.right && box.top < toast.bottom && toast.top < box.bottom,
    ),
  ).length;
}"""
TOPS = "all => all.map((one) => Math.round(one.getBoundingClientRect().top))"
# Names and faces that are shown, but not as a whole.
CUT = """() => Array.from(document.querySelectorAll(".person-name, .face, .more"))
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().width > 1)
  .filter((one) => {
    const box = one.getBoundingClientRect();
    const panel = (one.closest(".panel, .card, .presence-bar") ?? document.body).getBoundingClientRect();
    return box.left < panel.left || box.right > panel.right || one.scrollWidth > one.clientWidth + 1;
  })
  .map((one) => one.outerHTML)"""


@pytest.fixture(scope="module")
def demo() -> Iterator[SiteServer]:
    with SiteServer() as site:
        yield site


async def enter(page: Page, demo: SiteServer, path: str, person: str = "ada") -> Page:
    await page.goto(f"{demo.url}/as/{person}/?next={path}")
    await expect(page.locator("html")).to_have_attribute("data-presence-state", "live")
    return page


@asynccontextmanager
async def others(demo: SiteServer, path: str, people: list[str] = OTHERS) -> AsyncIterator[list[LivePage]]:
    """Eight people on a page, as sockets without browsers."""
    async with AsyncExitStack() as stack:
        visitors = await asyncio.gather(*(asyncio.to_thread(Person, demo, person) for person in people))
        yield [await stack.enter_async_context(LivePage(demo, path, one)) for one in visitors]


def contrast(one: str, other: str) -> float:
    """The contrast of two opaque colours as a browser gives them, by WCAG 2."""
    found = []
    for color in (one, other):
        red, green, blue = (int(part) / 255 for part in re.findall(r"\d+", color)[:3])
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in (red, green, blue)
        ]
        found.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
    return max(found) / min(found)


@pytest.mark.parametrize("width", [360, 390])
@pytest.mark.parametrize(
    ("path", "more"), [("/document/n/", "+4"), ("/chat/n/", "+4"), ("/whiteboard/n/", "+4"), ("/", "+3")]
)
async def test_nine_people_fit_on_a_phone(
    demo: SiteServer, new_page: NewPage, path: str, more: str, width: int
) -> None:
    page = await enter(await new_page(viewport=PHONE | {"width": width}), demo, path)
    async with others(demo, path):
        await expect(page.locator(".more:visible").first).to_have_text(re.compile(re.escape(more)))
        await expect(page.locator(".more:visible")).to_have_count(1)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert await page.evaluate(CUT) == []


@pytest.mark.parametrize("person", ["ada", "guest"])
async def test_the_header_is_one_line(demo: SiteServer, new_page: NewPage, person: str) -> None:
    page = await enter(
        await new_page(viewport={"width": 1400, "height": 800}), demo, "/whiteboard/n/", person
    )
    await page.locator("presence-count").evaluate(
        "one => (one.style = 'display: inline-block; width: 2.5em')"
    )
    for path in ("", "/any/"):
        if path:
            await page.goto(demo.url + path)
        for width in (1024, 1100, 1152, 1200, 1280, 1400):
            await page.set_viewport_size({"width": width, "height": 800})
            tops = await page.evaluate(
                "['.top > nav', '.top > .who'].map((one) => document.querySelector(one).getBoundingClientRect().bottom)"
            )
            assert abs(tops[0] - tops[1]) < 10, width
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [360, 390])
async def test_the_pages_are_one_line_on_a_phone(demo: SiteServer, new_page: NewPage, width: int) -> None:
    page = await enter(await new_page(viewport=PHONE | {"width": width}), demo, "/")
    for path in ("/", "/counter/", "/document/42/", "/chat/tea/", "/whiteboard/friends/", "/any/"):
        await page.goto(demo.url + path)
        assert len(set(await page.locator("nav[aria-label=Pages] a").evaluate_all(TOPS))) == 1, path
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_rows_of_cards_are_full(demo: SiteServer, new_page: NewPage) -> None:
    page = await enter(await new_page(viewport={"width": 1280, "height": 800}), demo, "/")
    tops = await page.locator(".card").evaluate_all(TOPS)
    assert len({tops.count(top) for top in tops}) == 1


async def test_a_whiteboard_takes_more_than_a_third_of_a_phone(demo: SiteServer, new_page: NewPage) -> None:
    page = await enter(await new_page(viewport=PHONE), demo, "/whiteboard/phone/")
    box = await page.locator("#drawing").bounding_box()
    assert box is not None
    assert box["width"] * box["height"] > PHONE["width"] * PHONE["height"] / 3
    assert box["y"] + box["height"] < PHONE["height"]


async def look(page: Page, name: str) -> dict[str, Any]:
    """The colour and the face of somebody, wherever on a page they are."""
    faces = await page.evaluate(
        """(name) => Array.from(document.querySelectorAll("li, .welcome, .message"))
          .filter((one) => Array.from(one.querySelectorAll(one.matches(".welcome") ? "p b" : ".person-name, .unseen, .by b"))
            .some((text) => text.textContent === name))
          .map((one) => one.querySelector(".face"))
          .map((face) => ({
            color: face.dataset.presenceColor,
            shown: getComputedStyle(face).backgroundColor,
            face: face.querySelector("img")?.getAttribute("src") ?? face.textContent,
          }))""",
        name,
    )
    assert faces
    assert all(face == faces[0] for face in faces), faces
    found: dict[str, Any] = faces[0]
    return found


@pytest.mark.parametrize("person", ["grace", "guest"])
async def test_somebody_looks_the_same_on_every_page(
    demo: SiteServer, new_page: NewPage, person: str
) -> None:
    page = await enter(await new_page(), demo, f"/document/{person}/", person)
    await expect(page.locator(".person-note")).to_have_text("you")
    name = await page.locator(".person-name").inner_text()
    name = "grace" if person == "grace" else name
    first = await look(page, name)
    assert first["color"]
    await page.goto(f"{demo.url}/chat/{person}/")
    await expect(page.locator("html")).to_have_attribute("data-presence-state", "live")
    await page.get_by_role("textbox").fill("Hello")
    await page.keyboard.press("Enter")
    await expect(page.locator(".bubble")).to_have_text("Hello")
    assert await look(page, name) == first
    for path in (f"/whiteboard/{person}/", "/"):
        await page.goto(demo.url + path)
        await expect(page.locator(".person-name")).to_have_text(re.compile(name, re.IGNORECASE))
        assert await look(page, name) == first
    other = await enter(await new_page(), demo, "/", "alan")
    await enter(page, demo, "/chat/tea/", person)
    card = other.locator(".card", has_text="A chat")
    await expect(card.locator(".faces .unseen")).to_have_text([name])
    assert await look(other, name) == first


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_messages_can_be_read_and_their_bubbles_seen(
    demo: SiteServer, new_page: NewPage, scheme: str
) -> None:
    ada = await enter(await new_page(color_scheme=scheme), demo, f"/chat/{scheme}/")
    grace = await enter(await new_page(color_scheme=scheme), demo, f"/chat/{scheme}/", "grace")
    for number, page in enumerate((ada, grace), 1):
        await page.get_by_role("textbox").fill("Tea?")
        await page.keyboard.press("Enter")
        await expect(ada.locator(".bubble")).to_have_count(number)
    panel = await ada.locator(".talk").evaluate("one => getComputedStyle(one).backgroundColor")
    for bubble in await ada.locator(".bubble").all():
        text, ground, edge = await bubble.evaluate(
            """one => {
              const style = getComputedStyle(one);
              const edge = style.borderTopStyle === "none" ? style.backgroundColor : style.borderTopColor;
              return [style.color, style.backgroundColor, edge.endsWith(", 0)") ? style.backgroundColor : edge];
            }"""
        )
        assert contrast(text, ground) >= 4.5
        assert contrast(edge, panel) >= 3


async def test_news_are_one_polite_line_that_covers_nothing_and_is_never_about_oneself(
    demo: SiteServer, new_page: NewPage
) -> None:
    page = await enter(await new_page(viewport=PHONE), demo, "/document/news/")
    await expect(page.locator(".presence-count")).to_have_text("1 user online")
    await expect(page.locator("#toasts[role=status]")).to_have_attribute("aria-live", "polite")
    heights = await page.evaluate("document.body.scrollHeight")
    await page.evaluate(
        """() => {
          window.lines = [];
          new MutationObserver(() => document.querySelector(".toast") && lines.push(document.querySelector(".toast").innerText))
            .observe(document.getElementById("toasts"), { childList: true });
        }"""
    )
    assert await page.evaluate(COVERED) == 0
    async with others(demo, "/document/news/", ["grace"]):
        await expect(page.locator(".toast")).to_have_text("Grace joined")
        assert await page.evaluate(COVERED) == 0
        await page.get_by_role("button", name="Wave").click()
        await expect(page.locator(".toast")).to_have_text("Ada waved")
        assert await page.evaluate(COVERED) == 0
        assert await page.evaluate("document.body.scrollHeight") >= heights
    await expect(page.locator(".toast")).to_have_text("Grace left")
    payloads = [{"name": name, "what": "joined"} for name in ("alan", "grace", "katherine", "Teal Otter")]
    for some in (payloads, payloads[:2]):
        await page.evaluate(
            """(all) => all.forEach((payload) =>
              dispatchEvent(new CustomEvent("djust:push_event", { detail: { event: "flash", payload } })))""",
            some,
        )
        wanted = "4 people joined" if len(some) == 4 else "Alan and Grace joined"
        await expect(page.locator(".toast")).to_have_text(wanted)
        await expect(page.locator(".toast")).to_have_count(1)
    assert await page.evaluate("lines") == [
        "Grace joined",
        "Ada waved",
        "Grace left",
        "4 people joined",
        "Alan and Grace joined",
    ]
