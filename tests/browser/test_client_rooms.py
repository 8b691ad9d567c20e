"""Rooms for scripts: `presence.join`, `presence.attach`, and what a room tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.browser.conftest import NewPage
from tests.browser.harness import FEED_STATE, FeedSite, Wire, eventually, let_in, open_feed
from tests.browser.harness.feed import ADA, BOB, COUNT, EVE, ready

ROOM = '<presence-room room="r" ticket="t" hidden></presence-room>'
ME = {"id": "me", "name": "Me", "joined_at": 9.0}
LISTEN = """() => {
    window.log = [];
    const name = (detail) => detail?.name ?? (Array.isArray(detail) ? detail.map(({ name }) => name) : detail);
    for (const event of ["sync", "join", "leave", "update", "event", "refused"]) {
        window.room.on(event, (detail) => window.log.push([event, name(detail)]));
    }
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def feed() -> AsyncIterator[FeedSite]:
    site = FeedSite({"delay": 0.1})
    await site.start()
    yield site
    await site.stop()


async def attach(feed: FeedSite, page: Page) -> Wire:
    """A page with a room whose people no element asks for; a script is about to."""
    wire = await open_feed(feed, page, ROOM)
    assert (await wire.read())["want"] == {}
    await wire.send("joined", room="r")
    await page.evaluate("window.room = djustPresence.attach('r')")
    await page.evaluate(LISTEN)
    return wire


async def settled(wire: Wire, page: Page) -> list[list[object]]:
    """Return what the room has told the script, once the page has handled all that was sent."""
    await wire.send("ping")
    assert await wire.read() == {"type": "pong"}
    log: list[list[object]] = await page.evaluate("log.splice(0)")
    return log


async def join(feed: FeedSite, page: Page, options: str = "{}") -> None:
    """Begin to join the room of a key. Once that is done the page has it as `room`, or the error as `refusal`."""
    feed.tickets.setdefault("key=k", {"room": "r", "ticket": "t"})
    await page.evaluate(
        f"""() => void djustPresence.join("k", {options}).then(
            (room) => (window.room = room), (error) => (window.refusal = error.code))"""
    )


async def test_a_room_tells_of_everybody_once_and_not_of_those_who_were_there(
    feed: FeedSite, page: Page
) -> None:
    wire = await attach(feed, page)
    assert await page.evaluate("[room.count, room.list(), room.me]") == [None, [], None]
    assert (await wire.read())["want"] == {"list": True}
    await wire.send("joined", room="r", me="ada")
    await wire.send("state", room="r", count=2, members=[BOB, ADA])
    assert await settled(wire, page) == [["sync", ["Ada", "Bob"]]]
    assert await page.evaluate("[room.count, room.me]") == [2, "ada"]
    await wire.send(
        "diff", room="r", count=2, joins=[EVE], leaves=["bob"], updates=[{**ADA, "status": "away"}]
    )
    assert await settled(wire, page) == [
        ["leave", "Bob"],
        ["join", "Eve"],
        ["update", "Ada"],
        ["sync", ["Ada", "Eve"]],
    ]
    await wire.send("room-event", room="r", event="client-wave", payload={"x": 1}, **{"from": "eve"})
    assert [name for name, _ in await settled(wire, page)] == ["event"]


async def test_changes_during_a_lost_connection_are_told_once(feed: FeedSite, page: Page) -> None:
    wire = await attach(feed, page)
    await let_in(wire, ADA, BOB)
    await settled(wire, page)
    await wire.close(1012)
    wire = await ready(feed, page)
    await let_in(wire, {**ADA, "status": "away"}, EVE)
    assert await settled(wire, page) == [
        ["leave", "Bob"],
        ["join", "Eve"],
        ["update", "Ada"],
        ["sync", ["Ada", "Eve"]],
    ]
    await wire.close(1012)
    wire = await ready(feed, page)
    await let_in(wire, {**ADA, "status": "away"}, EVE)
    assert await settled(wire, page) == []


async def test_those_whom_dots_ask_for_are_no_list(feed: FeedSite, page: Page) -> None:
    dot = '<presence-dot room="r" ticket="t" watch of="bob"></presence-dot>'
    wire = await open_feed(feed, page, dot)
    await let_in(wire, BOB, count=3)
    await page.evaluate("window.room = djustPresence.attach('r')")
    await page.evaluate(LISTEN)
    assert (await wire.read())["want"] == {"list": True, "some": ["bob"]}
    await wire.send("diff", room="r", leaves=["bob"])
    assert await settled(wire, page) == []  # it is about what was wanted before
    assert await page.evaluate("[room.count, room.list()]") == [None, []]
    await wire.send("joined", room="r", me="ada")
    await wire.send("state", room="r", count=3, members=[ADA, BOB, EVE])
    assert await settled(wire, page) == [["sync", ["Ada", "Bob", "Eve"]]]


async def test_a_list_that_is_cut_tells_of_nobody(feed: FeedSite, page: Page) -> None:
    wire = await attach(feed, page)
    await wire.read()
    await wire.send("joined", room="r")
    await wire.send("state", room="r", count=600, members=[ADA, BOB], partial=True)
    assert await settled(wire, page) == [["sync", ["Ada", "Bob"]]]
    await wire.send("diff", room="r", count=599, leaves=["ada"], joins=[EVE])
    assert await settled(wire, page) == [["sync", ["Bob", "Eve"]]]
    await wire.send("diff", room="r", count=3, joins=[ADA], partial=False)
    assert await settled(wire, page) == [["sync", ["Ada", "Bob", "Eve"]]]
    await wire.send("diff", room="r", count=2, leaves=["ada"])
    assert await settled(wire, page) == [["leave", "Ada"], ["sync", ["Bob", "Eve"]]]
    assert await page.evaluate("room.count") == 2


async def test_ones_own_record_is_there_before_the_store_has_it_and_never_blinks(
    feed: FeedSite, page: Page
) -> None:
    wire = await attach(feed, page)
    await let_in(wire, ADA, me="me", self=ME)
    assert await settled(wire, page) == [["sync", ["Ada", "Me"]]]
    assert await page.evaluate("room.count") == 2
    await wire.send("diff", room="r", count=2, joins=[BOB])
    assert await settled(wire, page) == [["join", "Bob"], ["sync", ["Ada", "Bob", "Me"]]]
    await wire.send("diff", room="r", count=3, joins=[ME])
    assert await settled(wire, page) == []
    assert await page.evaluate("room.count") == 3
    await wire.send("diff", room="r", count=2, leaves=["me"])
    assert await settled(wire, page) == [["leave", "Me"], ["sync", ["Ada", "Bob"]]]


async def test_people_cannot_be_changed_by_their_receiver(feed: FeedSite, page: Page) -> None:
    wire = await attach(feed, page)
    await let_in(wire, {"id": "ada", "joined_at": 1.0, "status": {"text": "here"}})
    await settled(wire, page)
    tampered = await page.evaluate(
        """() => {
            const [one] = room.list();
            const tries = [() => room.list().push(1), () => (one.name = "x"), () => (one.status.text = "x")];
            const refused = (change) => { "use strict"; try { change(); return false; } catch { return true; } };
            tries.forEach(refused);
            return [room.list().length, one.name, one.status.text, room.list() === room.list()];
        }"""
    )
    assert tampered == [1, "Guest", "here", True]


async def test_a_script_joins_by_key_updates_sends_and_leaves(feed: FeedSite, page: Page) -> None:
    feed.body = ""
    await page.goto(feed.url)
    await join(feed, page, "{ meta: { status: 'here' } }")
    wire = await ready(feed, page)
    joined = await let_in(wire, ADA, me="ada")
    want = {"list": True}
    assert joined == {"type": "join", "room": "r", "ticket": "t", "want": want, "meta": {"status": "here"}}
    await eventually(page, "window.room?.list()[0].name", "Ada")
    await page.evaluate("room.update({ typing: true, status: null })")
    assert await wire.read() == {"type": "update", "room": "r", "meta": {"typing": True, "status": None}}
    assert await page.evaluate("room.send('wave', { to: 'bob' })")
    assert await wire.read() == {"type": "send", "room": "r", "event": "wave", "payload": {"to": "bob"}}

    # A connection that comes back says the same of the reader as the last one.
    await wire.close(1012)
    await eventually(page, FEED_STATE, "reconnecting")
    assert not await page.evaluate("room.send('wave')")
    wire = await ready(feed, page)
    assert (await let_in(wire, ADA, me="ada"))["meta"] == {"typing": True}
    await eventually(page, "room.me", "ada")
    await page.evaluate("room.leave()")
    assert await wire.read() == {"type": "leave", "room": "r"}
    assert await page.evaluate("[room.list(), room.count, room.me, room.send('wave')]") == [
        [],
        None,
        None,
        False,
    ]


async def test_two_parts_of_a_page_share_a_room_until_the_last_one_leaves(feed: FeedSite, page: Page) -> None:
    wire = await open_feed(feed, page, COUNT)
    await let_in(wire, count=2)
    await join(feed, page)
    assert (await let_in(wire, ADA, BOB))["want"] == {"list": True, "count": True}
    await eventually(page, "window.room?.count", 2)
    await page.evaluate("window.first = room")
    await join(feed, page)
    await eventually(page, "room !== first && room.count", 2)
    await page.evaluate("(first.leave(), room.leave())")
    assert (await wire.read())["want"] == {"count": True}


@pytest.mark.parametrize(
    ("answer", "code"), [(403, "forbidden"), (404, "not-found"), (500, "unavailable"), (503, "unavailable")]
)
async def test_a_key_that_is_not_granted_rejects_with_the_code(
    feed: FeedSite, new_page: NewPage, answer: int, code: str
) -> None:
    new_page.allow("Failed to load resource")
    page = await new_page()
    await page.goto(feed.url)
    feed.tickets["key=k"] = answer
    await join(feed, page)
    await eventually(page, "window.refusal", code)


async def test_a_room_that_is_refused_rejects_and_is_left(feed: FeedSite, page: Page) -> None:
    feed.body = ""
    await page.goto(feed.url)
    feed.tickets["key=k&watch=1"] = {"room": "r", "ticket": "w"}
    await join(feed, page, "{ watch: true }")
    wire = await ready(feed, page)
    assert (await wire.read())["ticket"] == "w"
    await wire.send("refused", room="r", code="too-many")
    await eventually(page, "window.refusal", "too-many")
    assert await wire.read() == {"type": "leave", "room": "r"}


async def test_a_ticket_that_has_not_lasted_is_asked_for_again_once(feed: FeedSite, page: Page) -> None:
    feed.body = ""
    await page.goto(feed.url)
    await join(feed, page)
    wire = await ready(feed, page)
    await let_in(wire, ADA)
    await eventually(page, "window.room?.count", 1)
    await page.evaluate(LISTEN)
    feed.tickets["key=k"] = {"room": "r", "ticket": "t2"}
    await wire.close(1012)
    wire = await ready(feed, page)
    assert (await wire.read())["ticket"] == "t"
    await wire.send("refused", room="r", code="expired")
    assert (await wire.read())["ticket"] == "t2"
    await wire.send("refused", room="r", code="other")
    await eventually(page, "log.at(-1)", ["refused", "other"])
    assert feed.requests.count("GET /presence/ticket/?key=k") == 2


async def test_an_unknown_event_is_an_error_and_a_listener_that_fails_costs_no_other(
    feed: FeedSite, new_page: NewPage
) -> None:
    new_page.allow("mine")
    page = await new_page()
    wire = await attach(feed, page)
    await page.evaluate("addEventListener('error', ({ message }) => log.push(['error', message]))")
    assert "sync, join" in await page.evaluate(
        "() => { try { djustPresence.attach('r').on('joined', () => 0); } catch (error) { return error.message; } }"
    )
    await page.evaluate("void djustPresence.attach('r').on('sync', () => { throw new Error('mine'); })")
    await page.evaluate("room.on('sync', () => log.push(['off']))()")
    await let_in(wire, ADA)
    told = await settled(wire, page)
    assert ["sync", ["Ada"]] in told
    assert [name for name, _ in told if name != "sync"] == ["error"]


async def test_one_instance_runs_however_often_and_under_whatever_name_it_is_loaded(
    feed: FeedSite, page: Page
) -> None:
    feed.head = "<script type=module src=/static/copy.js></script>"
    await open_feed(feed, page, COUNT + feed.tag({}).replace("{{", "{").replace("}}", "}"))
    same = await page.evaluate(
        """async () => {
            const [one, other] = await Promise.all(["client.js", "copy.js"].map((name) => import(`/static/${name}`)));
            return [one.presence === other.presence, one.presence === window.djustPresence];
        }"""
    )
    assert same == [True, True]
    await asyncio.sleep(0.3)
    assert feed.unclaimed_wires == 0


async def test_an_object_that_is_on_the_page_already_is_extended(feed: FeedSite, page: Page) -> None:
    await page.add_init_script("window.mine = window.djustPresence = { event: () => 'event' }")
    await open_feed(feed, page, COUNT)
    assert await page.evaluate("window.djustPresence === mine && djustPresence.event()") == "event"
    assert await page.evaluate("typeof djustPresence.join") == "function"


async def test_elements_that_are_named_like_what_is_needed_are_in_no_ones_way(
    feed: FeedSite, page: Page
) -> None:
    names = [
        *("querySelector", "documentElement", "createElement", "addEventListener", "dispatchEvent"),
        *("visibilityState", "prerendering", "readyState", "cookie"),
    ]
    clobbering = "".join(
        f'<form name="{name}"><input name="id"></form><img name="{name}" alt="">' for name in names
    )
    windows = "".join(
        f'<a id="{name}"></a>' for name in ["djustPresence", "localStorage", "WebSocket", "fetch"]
    )
    feed.body = clobbering + windows + COUNT
    await page.goto(feed.url)
    wire = await feed.wire()
    await wire.ready()
    assert (await wire.read())["type"] == "hello"
    await let_in(wire, count=3)
    text = "Object.getOwnPropertyDescriptor(Node.prototype, 'textContent').get"
    count = "Document.prototype.querySelector.call(document, 'presence-count')"
    await eventually(page, f"{text}.call({count})", "3")
    assert await page.evaluate("typeof djustPresence.join") == "function"
