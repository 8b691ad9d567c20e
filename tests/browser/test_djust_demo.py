"""One template, two hosts: the demo's pages under our own host and under real djust, in real browsers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator

import pytest
from playwright.async_api import Locator, Page, expect

from djust_presence.guests import ANIMALS, COLORS
from tests.browser.conftest import NewPage
from tests.browser.harness import eventually
from tests.servers import RedisServer, SiteServer, find_valkey_server

GUEST = re.compile(rf"(?:{'|'.join(COLORS)}) (?:{'|'.join(ANIMALS)})")
LIVE = "document.documentElement.dataset.presenceState === 'live' || !!window.djust?.liveViewInstance?.viewMounted"
SOON = 10_000  # milliseconds: a closed tab is gone after GRACE


@pytest.fixture(scope="module")
def ours() -> Iterator[SiteServer]:
    with RedisServer(find_valkey_server()) as redis, SiteServer({"REDIS_URL": redis.url()}) as site:
        yield site


@pytest.fixture(scope="module")
def djusts() -> Iterator[SiteServer]:
    # A store of its own: visitors who have just left the other site are there until their GRACE is over.
    with (
        RedisServer(find_valkey_server()) as redis,
        SiteServer({"DJUST": "1", "REDIS_URL": redis.url()}) as site,
    ):
        site.allow(r"\bsetex\b")  # djust calls what redis-py has deprecated
        site.allow(r"^\[JIT\]")  # djust prints how it reads a queryset
        yield site


class Story:
    """A record of what people see in their pages, moment by moment."""

    def __init__(self, site: SiteServer, new_page: NewPage) -> None:
        self.site, self.new_page = site, new_page
        self.seen: list[object] = []

    async def open(self, path: str, person: str = "guest", tab_of: Page | None = None) -> Page:
        page = await self.new_page(context=tab_of.context if tab_of else None)
        await page.goto(f"{self.site.url}/as/{person}/?next={path}")
        await eventually(page, LIVE)
        return page

    async def see(self, page: Page, *, toasts: tuple[str, ...] = ()) -> None:
        """Record all that the page shows, once these *toasts* have come."""
        for toast in toasts:
            await expect(page.locator("#toasts")).to_contain_text(toast, timeout=SOON)
        text = GUEST.sub("Guest", await page.locator("main").inner_text())
        text = re.sub(r"^[A-Z]{2}$", "G", text, flags=re.MULTILINE)  # the face of a guest
        self.seen.append([line.strip() for line in text.splitlines() if line.strip()])


async def shows(locator: Locator, text: str) -> None:
    await expect(locator).to_have_text(text, timeout=SOON)


async def counter(story: Story) -> None:
    first = await story.open("/counter/")
    chip = first.locator("main .presence-chip").first
    await shows(chip, "1 online")
    await first.locator("summary").click()
    await first.get_by_label("Something to type").press_sequentially("half a sen")
    second = await story.open("/counter/", tab_of=first)
    await shows(chip, "2 online")
    await first.keyboard.type("tence")
    await expect(first.get_by_label("Something to type")).to_have_value("half a sentence")
    await expect(first.locator("details")).to_have_attribute("open", "")
    await story.see(first)
    await second.close()
    await shows(chip, "1 online")
    await story.see(first)


async def document(story: Story) -> None:
    index = await story.open("/")
    ada = await story.open("/document/x/", "ada")
    count = ada.locator(".presence-count")
    await shows(count, "1 user online")
    await story.see(ada)
    grace = await story.open("/document/x/", "grace")
    elsewhere = await story.open("/document/y/", "alan")
    await shows(count, "2 users online")
    await story.see(ada, toasts=("Grace joined",))
    face = ada.locator(".presence-bar .face").nth(1)
    await expect(face).to_have_css("background-color", "rgb(14, 123, 115)")
    tab = await story.open("/document/x/", "grace", tab_of=grace)
    await shows(ada.locator(".person-note").nth(1), "2 tabs")
    await story.see(tab)
    await grace.get_by_label("In the margin").fill("a draft")
    await grace.get_by_role("button", name="Wave").click()
    await story.see(ada, toasts=("Grace waved",))
    await tab.close()
    await shows(ada.locator(".person-note").nth(1), "")
    await expect(grace.get_by_label("In the margin")).to_have_value("a draft")
    await grace.reload()
    await shows(grace.locator(".presence-count"), "2 users online")
    await expect(ada.locator("#toasts")).not_to_contain_text("left")
    await grace.close()
    await shows(count, "1 user online")
    await story.see(ada, toasts=("Grace left",))
    await shows(elsewhere.locator(".presence-count"), "1 user online")
    await story.see(elsewhere)
    await story.see(index)


async def chat(story: Story) -> None:
    ada = await story.open("/chat/tea/", "ada")
    guest = await story.open("/chat/tea/")
    await shows(ada.get_by_role("heading", name="Online"), "Online (2)")
    await expect(ada.locator(".user-list img").first).to_have_attribute("src", "/static/demo/avatars/ada.svg")
    await guest.get_by_role("textbox").press_sequentially("Is it h")
    await expect(ada.locator("p.typing b")).to_have_text(GUEST, timeout=SOON)
    await story.see(ada)
    await guest.keyboard.type("ot?")
    await guest.keyboard.press("Enter")
    await expect(ada.locator(".bubble")).to_have_text(["Is it hot?"], timeout=SOON)
    await expect(guest.locator(".bubble")).to_have_text(["Is it hot?"], timeout=SOON)
    await expect(ada.locator("p.typing b")).to_have_count(0, timeout=SOON)
    story.seen.append(
        [GUEST.sub("Guest", name) for name in await ada.locator(".message b").all_inner_texts()]
    )
    await guest.close()
    await shows(ada.get_by_role("heading", name="Online"), "Online (1)")


async def whiteboard(story: Story) -> None:
    ada = await story.open("/whiteboard/w/", "ada")
    grace = await story.open("/whiteboard/w/", "grace")
    await shows(ada.locator(".presence-count"), "2")
    await expect(ada.locator("presence-cursors")).to_be_attached(timeout=SOON)
    drawing = grace.locator("#drawing")
    await drawing.hover(position={"x": 60, "y": 60})
    await grace.mouse.down()
    for step in (90, 120, 150):
        await drawing.hover(position={"x": step, "y": step})
    await grace.mouse.up()
    await expect(ada.locator("#drawing path[data-id]")).to_have_count(1, timeout=SOON)
    await expect(ada.locator("presence-cursors .cursor")).to_have_text(["grace"], timeout=SOON)
    await story.see(ada)
    await grace.get_by_role("button", name="Undo").click()
    await expect(ada.locator("#drawing path")).to_have_count(0, timeout=SOON)
    await grace.close()
    await shows(ada.locator(".presence-count"), "1")
    await expect(ada.locator("presence-cursors .cursor")).to_have_count(0, timeout=SOON)
    await story.see(ada)


async def first_page(story: Story) -> None:
    ada = await story.open("/", "ada")
    card = ada.locator(".card", has_text="A chat")
    await expect(ada.locator(".presence-chip")).to_have_text(["Nobody yet"] * 4, timeout=SOON)
    await expect(ada.locator(".welcome")).to_contain_text("Nobody else", timeout=SOON)
    await story.see(ada)
    grace = await story.open("/chat/tea/", "grace")
    await shows(card.locator(".presence-chip"), "1 here")
    await expect(card.locator(".faces img")).to_have_attribute("src", "/static/demo/avatars/grace.svg")
    await story.see(ada)
    await grace.close()
    await shows(card.locator(".presence-chip"), "Nobody yet")


@pytest.mark.parametrize(
    "play", [counter, document, chat, whiteboard, first_page], ids=lambda play: play.__name__
)
async def test_a_page_is_the_same_under_both_hosts(
    play: Callable[[Story], Awaitable[None]], ours: SiteServer, djusts: SiteServer, new_page: NewPage
) -> None:
    stories = [Story(site, new_page) for site in (ours, djusts)]
    for story in stories:
        await play(story)
        await new_page.close()
    assert stories[0].seen == stories[1].seen
