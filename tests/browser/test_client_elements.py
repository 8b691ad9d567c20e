"""The elements of any page: their requests, their content, and their life with other scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.harness import FeedSite, Wire, eventually, let_in, open_feed
from tests.browser.harness.feed import ADA, AVATARS, BOB, COUNT, EVE

TEXT = "document.querySelector('presence-count').textContent"
NAMES = "Array.from(document.querySelectorAll('.presence-avatar'), (avatar) => avatar.title)"


@pytest_asyncio.fixture(loop_scope="session")
async def feed() -> AsyncIterator[FeedSite]:
    site = FeedSite()
    await site.start()
    yield site
    await site.stop()


async def quiet(wire: Wire) -> None:
    """The page has nothing to say that was not read."""
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}


def dot(of: str, room: str = "r") -> str:
    return (
        f'<presence-dot room="{room}" ticket="w" watch of="{of}" data-online="da" data-offline="fort" role="img" '
        f'aria-label="fort"></presence-dot>'
    )


async def test_a_count_keeps_the_servers_text_until_it_knows_better(feed: FeedSite, page: Page) -> None:
    wire = await open_feed(feed, page)
    join = await wire.read()
    assert join == {"type": "join", "room": "r", "ticket": "t", "want": {"count": True}}
    assert await page.evaluate(TEXT) == "7"
    await wire.send("joined", room="r", me="me")
    await wire.send("state", room="r", count=8)
    await eventually(page, TEXT, "8")
    assert await page.locator("presence-count").get_attribute("data-presence") == "live"
    for count, text in [(999, "999"), (1000, "1k"), (1199, "1.1k"), (999_999, "999.9k"), (3_490_000, "3.4M")]:
        await wire.send("count", room="r", count=count)
        await eventually(page, TEXT, text)


async def test_one_frame_asks_for_all_that_a_page_shows_of_a_room(feed: FeedSite, page: Page) -> None:
    bare = '<presence-dot room="r" watch of="bob"></presence-dot>'
    wire = await open_feed(feed, page, dot("ada") + COUNT + bare + AVATARS + dot("ada"))
    join = await wire.read()
    assert join["want"] == {"list": True, "count": True, "some": ["ada", "bob"]}
    assert join["ticket"] == "t"  # which tracks, unlike those of the dots
    await quiet(wire)


async def test_avatars_are_a_list_with_names_colours_and_a_remainder(feed: FeedSite, page: Page) -> None:
    wire = await open_feed(feed, page, AVATARS)
    nameless = {"id": "m", "joined_at": 0.5, "avatar": "/face"}
    await let_in(wire, nameless, {**ADA, "color": "teal"}, BOB, EVE)
    await eventually(page, NAMES, ["Gast", "Ada"])
    more = page.locator(".presence-more")
    await expect(more).to_have_text("+2")
    first, second = await page.locator(".presence-avatar").all()
    assert await first.get_attribute("class") == "presence-avatar presence-hue-1"
    assert await first.locator("img").get_attribute("alt") == ""
    assert await second.text_content() == "A"
    color = "(avatar) => getComputedStyle(avatar).getPropertyValue('--presence-color')"
    assert await second.evaluate(color) == "teal"
    assert await second.get_attribute("class") == "presence-avatar"
    assert await page.locator(".presence-list").get_attribute("role") == "list"

    # Whoever stays keeps their element.
    await second.evaluate("(avatar) => avatar.marked = true")
    await wire.send(
        "diff", room="r", count=2, leaves=["m", "eve"], updates=[{**BOB, "name": "Bo", "color": "x;y"}]
    )
    await eventually(page, NAMES, ["Ada", "Bo"])
    assert await page.evaluate("document.querySelector('.presence-avatar').marked")
    assert await more.count() == 0
    await wire.send("diff", room="r", count=0, leaves=["ada", "bob"])
    await eventually(page, NAMES, [])
    assert await page.locator(".presence-list").get_attribute("role") is None


async def test_the_colours_that_the_server_has_printed_are_set_if_they_are_colours(
    feed: FeedSite, page: Page
) -> None:
    colors = ["teal", "url(https://example.org/)"]
    avatars = "".join(
        f'<span class="presence-avatar" data-presence-color="{color}">A</span>' for color in colors
    )
    await open_feed(feed, page, AVATARS.replace('"presence-list">', f'"presence-list">{avatars}'))
    painted = (
        "(avatars) => avatars.map((avatar) => getComputedStyle(avatar).getPropertyValue('--presence-color'))"
    )
    assert await page.locator(".presence-avatar").evaluate_all(painted) == ["teal", ""]


async def test_a_dot_says_by_word_and_attribute_who_is_online(feed: FeedSite, page: Page) -> None:
    wire = await open_feed(feed, page, dot("ada") + dot("bob"))
    await let_in(wire, ADA)
    ada, bob = page.locator("presence-dot").first, page.locator("presence-dot").last
    await expect(ada).to_have_attribute("online", "")
    await expect(ada).to_have_attribute("aria-label", "da")
    await wire.send("diff", room="r", joins=[BOB], leaves=["ada"])
    await expect(bob).to_have_attribute("aria-label", "da")
    await expect(ada).to_have_attribute("aria-label", "fort")
    assert await ada.get_attribute("online") is None


async def test_a_new_dot_is_what_the_server_says_until_its_room_was_asked(feed: FeedSite, page: Page) -> None:
    wire = await open_feed(feed, page, dot("ada"))
    await let_in(wire, ADA)
    html = dot("bob").replace("presence-dot room", "presence-dot online room", 1)
    await insert(page, html)
    assert (await wire.read())["want"] == {"some": ["ada", "bob"]}
    await expect(page.locator("[of=bob]")).to_have_attribute("online", "")
    await wire.send("joined", room="r")
    await wire.send("state", room="r", count=1, members=[ADA])
    await expect(page.locator("[of=bob]")).to_have_attribute("aria-label", "fort")
    assert await page.locator("[of=bob]").get_attribute("online") is None


async def insert(page: Page, tag: str) -> None:
    """Put an element into the page. The policy lets no script parse HTML."""
    await page.evaluate(
        """(tag) => {
            const [, name, attributes] = /^<([\\w-]+)([^>]*)>/.exec(tag);
            const element = document.createElement(name);
            for (const [, name, , value = ""] of attributes.matchAll(/([\\w-]+)(="([^"]*)")?/g)) {
                element.setAttribute(name, value);
            }
            document.body.append(element);
        }""",
        tag,
    )


async def test_elements_that_are_swapped_at_once_are_not_seen_to_go(feed: FeedSite, page: Page) -> None:
    wire = await open_feed(feed, page, f"<main>{COUNT}</main>")
    await let_in(wire, count=3)
    for _ in range(5):
        await page.evaluate(
            """() => {
                const old = document.querySelector("presence-count");
                const next = old.cloneNode(true);
                old.remove();
                setTimeout(() => document.querySelector("main").append(next), 20);
            }"""
        )
        await eventually(page, "document.querySelectorAll('presence-count').length", 1)
    await quiet(wire)
    await page.evaluate("document.querySelector('presence-count').remove()")
    assert await wire.read() == {"type": "leave", "room": "r"}


async def test_an_element_without_a_ticket_uses_that_of_one_that_has_gone(feed: FeedSite, page: Page) -> None:
    wire = await open_feed(feed, page, COUNT)
    await let_in(wire, count=3)
    await page.evaluate("document.querySelector('presence-count').remove()")
    assert (await wire.read())["type"] == "leave"
    await insert(page, '<presence-count room="r">')
    assert (await let_in(wire, count=4))["ticket"] == "t"
    await eventually(page, TEXT, "4")


async def test_a_room_is_only_watched_once_what_tracks_has_gone(feed: FeedSite, page: Page) -> None:
    wire = await open_feed(feed, page, COUNT + dot("ada"))
    assert (await let_in(wire, ADA))["ticket"] == "t"
    await page.evaluate("document.querySelector('presence-count').remove()")
    assert await wire.read() == {"type": "join", "room": "r", "ticket": "w", "want": {"some": ["ada"]}}


@pytest.mark.parametrize("move", ["append(count)", "moveBefore(count, null)"])
async def test_an_element_may_move_and_change_its_room(feed: FeedSite, page: Page, move: str) -> None:
    wire = await open_feed(feed, page, COUNT + "<aside></aside>")
    await let_in(wire, count=3)
    await page.evaluate(
        f"(() => {{ const count = document.querySelector('presence-count'); document.querySelector('aside').{move}; }})()"
    )
    await quiet(wire)
    await page.evaluate(
        """() => {
            const count = document.querySelector("presence-count");
            count.setAttribute("ticket", "u");
            count.setAttribute("room", "q");
        }"""
    )
    frames = [await wire.read(), await wire.read()]
    assert {"type": "leave", "room": "r"} in frames
    assert {"type": "join", "room": "q", "ticket": "u", "want": {"count": True}} in frames


@pytest.mark.parametrize("undo", ["textContent = '5'", "replaceChildren('5')", "firstChild.data = '5'"])
async def test_content_that_another_script_renders_gives_way_to_the_true_state(
    feed: FeedSite, page: Page, undo: str
) -> None:
    wire = await open_feed(feed, page, COUNT)
    await let_in(wire, count=9)
    await eventually(page, TEXT, "9")
    await page.evaluate(f"document.querySelector('presence-count').{undo}")
    await eventually(page, TEXT, "9")


async def test_two_scripts_that_both_insist_do_not_hang_the_page(feed: FeedSite, page: Page) -> None:
    wire = await open_feed(feed, page, COUNT)
    await let_in(wire, count=9)
    await eventually(page, TEXT, "9")
    await page.evaluate(
        """() => {
            const count = document.querySelector("presence-count");
            const insist = () => count.textContent === "nine" || (count.textContent = "nine");
            new MutationObserver(insist).observe(count, { childList: true, characterData: true, subtree: true });
            insist();
        }"""
    )
    await eventually(page, TEXT, "nine")
    await quiet(wire)


@pytest.mark.parametrize("code", ["forbidden", "other", "expired"])
async def test_an_element_that_is_refused_says_so_and_keeps_what_it_shows(
    feed: FeedSite, page: Page, code: str
) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    wire = await open_feed(feed, page)
    assert (await wire.read())["type"] == "join"
    await wire.send("refused", room="r", code=code)
    await expect(page.locator("presence-count")).to_have_attribute(
        "data-presence", "stale" if code == "expired" else "refused"
    )
    assert await page.evaluate(TEXT) == "7"
    assert any("a cached fragment was rendered for somebody else" in text for text in said) == (
        code == "other"
    )
    await quiet(wire)  # it does not ask again
    await page.evaluate("document.querySelector('presence-count').setAttribute('ticket', 'new')")
    assert (await let_in(wire, count=8))["ticket"] == "new"
    await expect(page.locator("presence-count")).to_have_attribute("data-presence", "live")


async def test_a_younger_ticket_takes_the_place_of_the_one_in_the_page(feed: FeedSite, page: Page) -> None:
    wire = await open_feed(feed, page)
    await let_in(wire, count=3, ticket="younger")
    await eventually(page, TEXT, "3")
    await page.evaluate("document.querySelector('presence-count').firstChild.data = '5'")
    await eventually(page, TEXT, "3")
    await wire.close(1012)
    wire = await feed.wire()
    await wire.ready()
    assert (await wire.read())["type"] == "hello"
    assert (await wire.read())["ticket"] == "younger"


async def test_room_for_another_one_is_used_by_a_room_that_was_too_many(feed: FeedSite, page: Page) -> None:
    wire = await open_feed(feed, page, COUNT + '<presence-room room="q" ticket="u" hidden></presence-room>')
    await let_in(wire, count=3)
    assert await wire.read() == {"type": "join", "room": "q", "ticket": "u", "want": {}}
    await wire.send("refused", room="q", code="too-many")
    await expect(page.locator("presence-room")).to_have_attribute("data-presence", "refused")
    await page.evaluate("document.querySelector('presence-count').remove()")
    assert [(await wire.read())["type"], (await wire.read())["room"]] == ["leave", "q"]


ANNOUNCED = AVATARS.replace(" max", ' announce data-joined="{} ist da" data-left="{} ist fort" max')
SAID = "document.querySelector('presence-announcements').textContent"


async def test_comings_and_goings_are_announced_together_and_the_net_of_them(
    feed: FeedSite, page: Page
) -> None:
    feed.script = feed.tag({"announce": 0.3})
    wire = await open_feed(feed, page, ANNOUNCED)
    region = page.locator("presence-announcements")
    assert await region.get_attribute("role") == "status"
    await let_in(wire, ADA, {**EVE, "id": "me"}, me="me")
    await wire.send("diff", room="r", count=3, joins=[BOB])
    await wire.send("diff", room="r", count=2, leaves=["ada"])
    await wire.send("diff", room="r", count=3, joins=[EVE])
    await wire.send("diff", room="r", count=2, leaves=["eve"])
    await eventually(page, SAID, "Bob ist da. Ada ist fort.")

    crowd: list[Any] = [{"id": f"p{n}", "joined_at": n, "name": str(n)} for n in range(9)]
    await wire.send("diff", room="r", count=11, joins=crowd)
    await asyncio.sleep(0.6)
    assert await page.evaluate(SAID) == "Bob ist da. Ada ist fort."
    box = await region.bounding_box()
    assert box is not None
    assert box["width"] <= 1


async def test_nothing_is_announced_unasked(feed: FeedSite, page: Page) -> None:
    wire = await open_feed(feed, page, AVATARS)
    await let_in(wire, ADA)
    await wire.send("diff", room="r", count=2, joins=[BOB])
    await eventually(page, NAMES, ["Ada", "Bob"])
    assert await page.locator("[role=status], [aria-live]").count() == 0


async def test_dots_above_what_the_server_looks_for_stay_as_it_has_rendered_them(
    feed: FeedSite, page: Page
) -> None:
    dots = "".join(dot(f"p{number:03}") for number in range(501)).replace(
        "<presence-dot", "<presence-dot online"
    )
    wire = await open_feed(feed, page, dots + '<presence-dot room="r" watch></presence-dot>')
    join = await let_in(wire)
    assert join["want"] == {"some": [f"p{number:03}" for number in range(500)]}
    await expect(page.locator("[of=p499]")).not_to_have_attribute("online", "")
    await expect(page.locator("[of=p500]")).to_have_attribute("online", "")
