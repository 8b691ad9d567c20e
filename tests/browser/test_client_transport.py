"""The client's line to the server: sockets, polling, and the change from one to the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import NewPage, launch
from tests.browser.harness import FEED_STATE, FeedSite, Wire, eventually, let_in, listen, open_feed, turns
from tests.browser.harness.feed import ADA, AVATARS, COUNT, ready

TEXT = "document.querySelector('presence-count').textContent"
QUICK = {"open": 4, "life": 0.5, "delay": 0.1, "longest": 0.2, "again": 0.1, "retry": 0.5, "stale": 0}
TOKEN = "localStorage.getItem('djust_presence.visitor')"
GRANTED = {"r": {"count": 4, "tag": "x", "me": "ada"}}


@pytest_asyncio.fixture(loop_scope="session")
async def feed() -> AsyncIterator[FeedSite]:
    site = FeedSite(QUICK)
    await site.start()
    yield site
    await site.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def wsgi() -> AsyncIterator[FeedSite]:
    site = FeedSite(QUICK, sockets=False)
    await site.start()
    yield site
    await site.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def person(page: Page) -> Page:
    """A page that takes itself for a person's, not a program's."""
    await page.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'webdriver', { get: () => false })"
    )
    return page


async def go(site: FeedSite, page: Page, html: str = COUNT) -> None:
    site.body = html
    await page.goto(site.url, wait_until="domcontentloaded")


async def lose_sockets(feed: FeedSite, times: int) -> None:
    for _ in range(times):
        await (await feed.wire()).close(1011)


async def test_a_page_without_rooms_opens_nothing(feed: FeedSite, page: Page) -> None:
    await go(feed, page, "<p>Nobody</p>")
    await asyncio.sleep(0.3)
    assert feed.unclaimed_wires == 0
    assert await page.evaluate(TOKEN) is None


async def test_a_page_of_a_site_without_sockets_polls_and_never_tries_one(wsgi: FeedSite, page: Page) -> None:
    await go(wsgi, page)
    first = await wsgi.poll()
    assert first.body == {
        "page": first.body["page"],
        "seq": "",
        "visitor": first.body["visitor"],
        "hidden": False,
        "rooms": [{"room": "r", "ticket": "t", "want": {"count": True}}],
        "left": [],
    }
    assert len(first.body["page"]) == 22
    first.answer(GRANTED, every=0.2)
    await eventually(page, TEXT, "4")
    await expect(page.locator("presence-count")).to_have_attribute("data-presence", "polling")
    second = await wsgi.poll()
    assert second.body["seq"] == "s"
    assert second.body["page"] == first.body["page"]
    assert second.body["rooms"] == [{"room": "r", "ticket": "t", "want": {"count": True}, "tag": "x"}]
    second.answer(every=0.2)
    third = await wsgi.poll()  # nothing was new: the same tag goes back
    assert third.body["rooms"][0]["tag"] == "x"
    third.answer()
    assert await page.evaluate(TEXT) == "4"
    assert wsgi.unclaimed_wires == 0


async def test_a_poll_goes_out_at_once_for_what_has_come_and_says_what_has_gone(
    wsgi: FeedSite, page: Page
) -> None:
    await go(wsgi, page)
    (await wsgi.poll()).answer(GRANTED)
    await eventually(page, TEXT, "4")
    await page.evaluate(
        """() => {
            const count = document.querySelector("presence-count");
            const next = count.cloneNode();
            next.setAttribute("room", "q");
            count.replaceWith(next);
        }"""
    )
    polls = [await wsgi.poll()]
    polls[0].answer({"q": {"count": 9, "tag": "y"}}, seq="s2")
    await eventually(page, TEXT, "9")
    if not polls[0].body["left"]:  # the other element was expected back for a while
        polls.append(await wsgi.poll())
        polls[1].answer()
    assert polls[-1].body["left"] == [{"room": "r", "ticket": "t"}]
    assert [room["room"] for room in polls[-1].body["rooms"]] == ["q"]


async def test_a_page_that_is_no_longer_known_begins_again(wsgi: FeedSite, page: Page) -> None:
    await go(wsgi, page)
    first = await wsgi.poll()
    first.answer(GRANTED, every=0.1)
    (await wsgi.poll()).answered.set_result((200, {}, {"again": True}))
    second = await wsgi.poll()
    assert second.body["page"] != first.body["page"]
    assert [second.body["seq"], second.body["rooms"][0].get("tag")] == ["", None]
    second.answer(GRANTED)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_wants_to_be_left_alone_is(
    wsgi: FeedSite, new_page: NewPage, status: int
) -> None:
    new_page.allow("Failed to load resource")
    page = await new_page()
    await go(wsgi, page)
    (await wsgi.poll()).answer(GRANTED, every=0.1)
    (await wsgi.poll()).refuse(status, **{"Retry-After": "2"})
    began = time.monotonic()
    await eventually(page, FEED_STATE, "reconnecting")
    assert await page.evaluate(TEXT) == "4"
    await page.evaluate("dispatchEvent(new Event('online'))")  # no reason to ask earlier
    (await wsgi.poll()).answer(GRANTED)
    assert time.monotonic() - began > 1.5
    await eventually(page, FEED_STATE, "polling")


async def test_a_hidden_page_says_so_and_one_that_is_looked_at_again_polls_at_once(
    wsgi: FeedSite, page: Page
) -> None:
    await go(wsgi, page)
    (await wsgi.poll()).answer(GRANTED)
    await eventually(page, FEED_STATE, "polling")
    for hidden in (True, False):
        state = "hidden" if hidden else "visible"
        await page.evaluate(
            f"""() => {{
                Object.defineProperty(Document.prototype, "visibilityState", {{ configurable: true, get: () => "{state}" }});
                document.dispatchEvent(new Event("visibilitychange"));
            }}"""
        )
        if not hidden:
            poll = await wsgi.poll()
            assert poll.body["hidden"] is False
            poll.answer()


async def test_programs_that_drive_a_page_are_not_counted_by_polling(wsgi: FeedSite, page: Page) -> None:
    wsgi.script = wsgi.tag({"person": 0.1}, sockets=False)
    await go(wsgi, page)
    await page.mouse.click(5, 5)
    await asyncio.sleep(0.5)
    assert wsgi.polls.empty()


async def test_a_page_polls_once_somebody_looks_at_it(wsgi: FeedSite, person: Page) -> None:
    wsgi.script = wsgi.tag({"person": 0.5}, sockets=False)
    before = time.monotonic()
    await go(wsgi, person)
    (await wsgi.poll()).answer(GRANTED)
    assert time.monotonic() - before >= 0.5
    await eventually(person, TEXT, "4")


@pytest.mark.parametrize("anonymous", ["browser", "none"])
async def test_the_next_page_of_a_tab_that_has_polled_polls_at_once(
    wsgi: FeedSite, person: Page, anonymous: str
) -> None:
    wsgi.script = wsgi.tag({"person": 60}, sockets=False).replace("browser", anonymous)
    await go(wsgi, person)
    await person.mouse.click(5, 5)
    (await wsgi.poll()).answer(GRANTED)
    await eventually(person, TEXT, "4")
    await go(wsgi, person)
    if anonymous == "none":  # nothing is remembered
        await asyncio.sleep(0.5)
        assert wsgi.polls.empty()
        assert await person.evaluate("sessionStorage.length") == 0
        return
    (await wsgi.poll()).answer(GRANTED)
    await eventually(person, TEXT, "4")


async def test_a_page_polls_once_somebody_clicks(wsgi: FeedSite, person: Page) -> None:
    wsgi.script = wsgi.tag({"person": 60}, sockets=False)
    await go(wsgi, person)
    await asyncio.sleep(0.2)
    assert wsgi.polls.empty()
    await person.mouse.click(5, 5)
    (await wsgi.poll()).answer(GRANTED)
    await eventually(person, TEXT, "4")


@pytest.mark.parametrize("how", ["dies at once", "is never ready", "is refused"])
async def test_a_page_polls_after_two_sockets_in_vain(feed: FeedSite, new_page: NewPage, how: str) -> None:
    new_page.allow("WebSocket connection to")
    page = await new_page()
    if how == "is refused":
        feed.script = feed.tag({**QUICK, "person": 0}).replace(
            'data-socket="/ws', 'data-socket="http://127.0.0.1:9'
        )
        feed.policy = ""
    await go(feed, page)
    if how == "dies at once":
        await lose_sockets(feed, 2)
    (await feed.poll()).answer(GRANTED)
    await eventually(page, TEXT, "4")


async def test_a_restart_of_the_server_sends_no_page_to_polling(feed: FeedSite, page: Page) -> None:
    wire = await open_feed(feed, page)
    await let_in(wire, count=3)
    await asyncio.sleep(0.7)  # it has lived
    await wire.close(1012)
    await lose_sockets(feed, 5)
    wire = await ready(feed, page)
    await let_in(wire, count=4)
    await eventually(page, TEXT, "4")
    assert feed.polls.empty()


@pytest.mark.parametrize("code", [1012, 4000, 4500])
async def test_closes_that_say_why_are_no_reason_to_poll(feed: FeedSite, page: Page, code: int) -> None:
    await go(feed, page)
    for _ in range(4 if code != 4500 else 2):
        await (await feed.wire()).close(code)
    await let_in(await ready(feed, page), count=4)
    assert feed.polls.empty()


@pytest.mark.parametrize("code", [4400, 4403, 4404, 4408])
async def test_a_page_stays_closed_where_there_is_nothing_to_come_back_to(
    feed: FeedSite, page: Page, code: int
) -> None:
    wire = await open_feed(feed, page)
    await let_in(wire, count=3)
    await listen(page, "presence-client:feed")
    await wire.close(code)
    await eventually(page, FEED_STATE, "stopped")
    assert await page.evaluate("recorded.at(-1)[1]") == {"state": "stopped", "code": code}
    await expect(page.locator("presence-count")).to_have_attribute("data-presence", "stale")
    await asyncio.sleep(0.5)
    assert feed.unclaimed_wires == 0
    assert feed.polls.empty()


async def test_after_a_log_out_the_page_comes_back_once_as_whoever_it_is(feed: FeedSite, page: Page) -> None:
    wire = await open_feed(feed, page)
    await let_in(wire, count=3)
    await listen(page, "presence-client:feed")
    await page.evaluate("window.same = true")
    await wire.close(4401)
    wire = await ready(feed, page)
    assert ["presence-client:feed", {"state": "reconnecting", "code": 4401}] in await page.evaluate(
        "recorded"
    )
    assert await page.evaluate("window.same")  # an ordinary page may hold a form, and is not reloaded
    await wire.close(4401)
    await eventually(page, FEED_STATE, "stopped")

    # One that has lived for a while may be logged out again.
    wire = await open_feed(feed, page)
    await asyncio.sleep(0.7)
    await wire.close(4401)
    wire = await ready(feed, page)
    await asyncio.sleep(0.7)
    await wire.close(4401)
    await ready(feed, page)


async def to_polling(feed: FeedSite, page: Page, html: str = COUNT) -> None:
    await go(feed, page, html)
    await lose_sockets(feed, 2)
    (await feed.poll()).answer(GRANTED, every=60)
    await eventually(page, FEED_STATE, "polling")


async def test_the_page_joins_by_the_socket_before_it_says_goodbye_by_polling(
    feed: FeedSite, page: Page
) -> None:
    await to_polling(feed, page)
    wire = await feed.wire()
    await wire.ready()
    assert (await wire.read())["type"] == "hello"
    join = await wire.read()  # not before it has lived
    assert await page.evaluate(FEED_STATE) == "live"
    assert join["type"] == "join"
    assert feed.goodbyes == []
    await wire.send("joined", room="r", me="ada")
    await wire.send("state", room="r", count=5)
    await eventually(page, TEXT, "5")
    async for _ in turns():
        if feed.goodbyes:
            break
    (goodbye,) = feed.goodbyes
    assert goodbye["seq"] == "s"


async def test_a_socket_that_does_not_live_takes_over_nothing(feed: FeedSite, page: Page) -> None:
    await to_polling(feed, page)
    for _ in range(2):
        wire = await feed.wire()
        await wire.ready()
        assert (await wire.read())["type"] == "hello"
        await wire.close(1011)
    assert await page.evaluate(FEED_STATE) == "polling"
    assert feed.goodbyes == []


async def test_polling_goes_on_if_the_socket_dies_before_the_page_has_joined(
    feed: FeedSite, page: Page
) -> None:
    await to_polling(feed, page)
    wire = await feed.wire()
    await wire.ready()
    assert [(await wire.read())["type"], (await wire.read())["type"]] == ["hello", "join"]
    await wire.close(1011)
    poll = await feed.poll()
    assert poll.body["seq"] == "s"  # the same presence as before
    poll.answer(GRANTED)
    await eventually(page, FEED_STATE, "polling")
    assert feed.goodbyes == []


RETRY = 2.0  # seconds until a page that polls tries a socket, give or take a fifth


async def test_without_readers_nothing_is_tried(feed: FeedSite, page: Page) -> None:
    feed.script = feed.tag({**QUICK, "person": 0, "retry": RETRY})  # not before the page is hidden
    await to_polling(feed, page)
    await page.evaluate(
        "Object.defineProperty(Document.prototype, 'visibilityState', { configurable: true, get: () => 'hidden' })"
    )
    await asyncio.sleep(1.5 * RETRY)
    assert feed.unclaimed_wires == 0
    await page.evaluate(
        """() => {
            Object.defineProperty(Document.prototype, "visibilityState", { configurable: true, get: () => "visible" });
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    (await feed.poll()).answer()
    await (await feed.wire()).ready()


async def test_a_server_that_answers_no_more_is_left(feed: FeedSite, page: Page) -> None:
    feed.body = COUNT
    await page.goto(feed.url, wait_until="domcontentloaded")
    wire = await feed.wire()
    await wire.ready(ping=-2.3)  # so that it is taken for dead soon
    await greeted(wire)
    assert await feed.wire() is not wire


async def greeted(wire: Wire) -> None:
    assert (await wire.read())["type"] == "hello"
    await let_in(wire, count=3)


async def test_a_page_that_wakes_up_asks_for_a_sign_of_life(feed: FeedSite, page: Page) -> None:
    feed.script = feed.tag({**QUICK, "probe": 0.3})
    wire = await open_feed(feed, page)
    await let_in(wire, count=3)
    await page.evaluate("window.dispatchEvent(new Event('online'))")
    assert await wire.read() == {"type": "ping"}
    await wire.send("pong")
    await asyncio.sleep(0.5)
    assert feed.unclaimed_wires == 0
    await page.evaluate("document.dispatchEvent(new Event('resume'))")
    assert await wire.read() == {"type": "ping"}
    await let_in(await ready(feed, page), count=3)


async def test_a_server_that_closes_a_socket_without_rooms_is_asked_again_when_there_are_some(
    feed: FeedSite, page: Page
) -> None:
    wire = await open_feed(feed, page)
    await let_in(wire, count=3)
    await page.evaluate("(window.kept = document.querySelector('presence-count')).remove()")
    assert (await wire.read())["type"] == "leave"
    await wire.close(1000)
    await eventually(page, FEED_STATE, "idle")
    await page.evaluate("document.body.append(kept)")
    await let_in(await ready(feed, page), count=4)
    await eventually(page, TEXT, "4")


@pytest.mark.parametrize("polling", [False, True])
async def test_a_page_out_of_the_back_forward_cache_is_live_again(
    feed: FeedSite, wsgi: FeedSite, browser: Browser, polling: bool
) -> None:
    site = wsgi if polling else feed
    # Playwright switches the cache off.
    options = {"ignore_default_args": ["--disable-back-forward-cache"]}
    chromium = await launch(browser.browser_type, "--enable-features=BackForwardCache", whole=True, **options)
    try:
        page = await chromium.new_page()
        site.pages["/other"] = "<p>Other</p>"
        await go(site, page)
        if polling:
            (await site.poll()).answer(GRANTED)
        else:
            wire = await site.wire()
            await wire.ready()
            await greeted(wire)
        await eventually(page, FEED_STATE, "polling" if polling else "live")
        await page.evaluate("window.same = true")
        await page.goto(site.url + "/other")
        if polling:
            async for _ in turns():
                if site.goodbyes:
                    break
            assert site.goodbyes
        else:
            assert await wire.gone() == 1000
        await page.go_back(wait_until="commit")
        await eventually(page, "window.same === true")
        if polling:
            (await site.poll()).answer({"r": {"count": 6, "tag": "x"}})
        else:
            await let_in(await ready(site, page), count=6)
        await eventually(page, TEXT, "6")
        assert site.unclaimed_wires == 0
    finally:
        await chromium.close()


async def test_tabs_of_a_browser_are_one_visitor_and_other_browsers_are_others(
    feed: FeedSite, new_page: NewPage
) -> None:
    tokens = []
    feed.body = COUNT
    first = await new_page()
    for page in (first, await new_page(context=first.context), await new_page()):
        await page.goto(feed.url)
        wire = await feed.wire()
        await wire.ready()
        tokens.append((await wire.read())["visitor"])
    assert tokens[0] == tokens[1] != tokens[2]
    assert all(len(token) == 22 for token in tokens)


@pytest.mark.parametrize("anonymous", ["browser", "tab", "none"])
async def test_the_setting_decides_a_visitors_identity(feed: FeedSite, page: Page, anonymous: str) -> None:
    feed.script = feed.script.replace('data-anonymous="browser"', f'data-anonymous="{anonymous}"')
    await go(feed, page)
    wire = await feed.wire()
    await wire.ready()
    frame = await wire.read()
    stored = await page.evaluate(
        "[localStorage, sessionStorage].map((store) => store.getItem('djust_presence.visitor'))"
    )
    if anonymous == "none":
        assert frame["type"] == "join"
        assert stored == [None, None]
    else:
        expected = [frame["visitor"], None]
        assert stored == (expected if anonymous == "browser" else expected[::-1])


async def test_a_browser_that_stores_nothing_has_a_visitor_for_the_page(feed: FeedSite, page: Page) -> None:
    await page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('No', 'SecurityError'); } })"
    )
    wire = await open_feed(feed, page)
    await let_in(wire, count=3)
    await eventually(page, TEXT, "3")


async def test_a_stored_value_that_is_not_a_token_is_replaced(feed: FeedSite, page: Page) -> None:
    await page.add_init_script("localStorage.setItem('djust_presence.visitor', 'short')")
    await go(feed, page)
    wire = await feed.wire()
    await wire.ready()
    token = (await wire.read())["visitor"]
    assert await page.evaluate(TOKEN) == token != "short"


async def test_a_page_that_is_prerendered_is_not_there_yet(feed: FeedSite, page: Page) -> None:
    await page.add_init_script(
        "Object.defineProperty(Document.prototype, 'prerendering', { configurable: true, get: () => !window.shown })"
    )
    await go(feed, page)
    await asyncio.sleep(0.4)
    assert feed.unclaimed_wires == 0
    await page.evaluate("window.shown = true")
    await page.evaluate("document.dispatchEvent(new Event('prerenderingchange'))")
    await let_in(await ready(feed, page), count=3)


# As presence.js of a live page offers it.
LINE = """
document[Symbol.for("djust_presence.line")] = {
  live: false,
  send: (frame) => sent.push(JSON.parse(JSON.stringify(frame))),
  listen: (listener) => (window.listener = listener),
};
window.sent = [];
"""


async def test_on_a_live_page_its_socket_is_used(feed: FeedSite, page: Page) -> None:
    await page.add_init_script(LINE)
    await go(feed, page, COUNT + AVATARS)
    await eventually(page, "!!window.listener")
    assert await page.evaluate("sent") == []
    await page.evaluate("listener.online()")
    hello, join = await page.evaluate("sent.splice(0)")
    assert hello["type"] == "hello"
    assert [join["type"], join["want"]] == ["join", {"list": True, "count": True}]
    await page.evaluate(
        """(ada) => {
            listener.receive({ type: "render", regions: {} });
            listener.receive({ type: "joined", room: "r" });
            listener.receive({ type: "state", room: "r", count: 1, members: [ada] });
        }""",
        ADA,
    )
    await eventually(page, TEXT, "1")
    await page.evaluate("listener.offline()")
    await eventually(page, FEED_STATE, "reconnecting")
    await page.evaluate("listener.online()")
    assert [frame["type"] for frame in await page.evaluate("sent")] == ["hello", "join"]
    await asyncio.sleep(0.5)
    assert feed.unclaimed_wires == 0
    assert feed.polls.empty()


async def of_live_page(feed: FeedSite, page: Page) -> None:
    """Open a live page, whose socket the test plays in the page; the client has turned to it."""
    await page.add_init_script(LINE)
    await go(feed, page)
    await eventually(page, "!!window.listener")


async def frames(page: Page) -> list[str]:
    types: list[str] = await page.evaluate("sent.splice(0).map(({ type }) => type)")
    return types


async def test_a_live_page_whose_socket_does_not_open_polls_until_it_does(feed: FeedSite, page: Page) -> None:
    feed.script = feed.tag({**QUICK, "person": 0, "fall": 0.5})
    await of_live_page(feed, page)
    (await feed.poll()).answer(GRANTED, every=60)
    await eventually(page, FEED_STATE, "polling")
    await page.evaluate("listener.online()")
    assert await frames(page) == ["hello"]
    await page.evaluate("listener.offline(1006, false)")  # it has not lived
    await page.evaluate("listener.online()")
    await eventually(page, FEED_STATE, "live")
    assert await frames(page) == ["hello", "join"]
    assert feed.goodbyes == []
    await page.evaluate("listener.receive({ type: 'joined', room: 'r' })")
    await page.evaluate("listener.receive({ type: 'state', room: 'r', count: 5 })")
    await eventually(page, TEXT, "5")
    async for _ in turns():
        if feed.goodbyes:
            break
    (goodbye,) = feed.goodbyes
    assert goodbye["seq"] == "s"
    assert feed.unclaimed_wires == 0  # the live page tries its own socket, and no other script does


async def test_a_live_page_whose_sockets_die_at_once_polls(feed: FeedSite, page: Page) -> None:
    await of_live_page(feed, page)
    for code in (None, None, 1006, 1006):  # twice it went on to another live page
        assert feed.polls.empty()
        await page.evaluate("listener.online()")
        await page.evaluate("(code) => listener.offline(code, false)", code)
    (await feed.poll()).answer(GRANTED)
    await eventually(page, FEED_STATE, "polling")
    assert feed.unclaimed_wires == 0


async def test_a_live_page_that_may_not_be_seen_stops_its_elements_too(feed: FeedSite, page: Page) -> None:
    await of_live_page(feed, page)
    await page.evaluate("listener.online()")
    await page.evaluate("listener.offline(4403, true)")
    await eventually(page, FEED_STATE, "stopped")


async def test_elements_have_a_socket_of_their_own_while_a_script_has_taken_the_live_page_away(
    feed: FeedSite, page: Page
) -> None:
    await of_live_page(feed, page)
    await page.evaluate("listener.online()")
    await page.evaluate("listener.offline(null, true)")
    wire = await ready(feed, page)
    await let_in(wire, count=4)
    await eventually(page, TEXT, "4")
    await page.evaluate("sent.splice(0)")
    await page.evaluate("listener.online()")
    await eventually(page, "sent.map(({ type }) => type).join()", "hello,join")
    await page.evaluate("listener.receive({ type: 'joined', room: 'r' })")
    assert await wire.gone() == 1000
    await page.evaluate("listener.receive({ type: 'state', room: 'r', count: 6 })")
    await eventually(page, TEXT, "6")
    assert await page.evaluate(FEED_STATE) == "live"
