"""Pages of a real site: presence on ordinary pages, by sockets, in a real browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.any_page import AnyPageServer
from tests.browser.conftest import NewPage
from tests.browser.harness import FEED_STATE, events, eventually, listen
from tests.browser.harness.axe import examined

QUICK = {"open": 4, "life": 1, "retry": 1.5, "delay": 0.5}
WATCH = """
(doc) => {
    window.log = [];
    djustPresence.join(`doc:${doc}`, { watch: true }).then((room) => {
        for (const event of ["join", "leave", "update"]) room.on(event, ({ name }) => log.push([event, name]));
        window.room = room;
    });
}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[AnyPageServer]:
    with AnyPageServer(times=QUICK, options={"GRACE": 1}) as server:
        server.allow("Forbidden: /presence/ticket/")
        yield server


async def live(page: Page, url: str) -> Page:
    await page.goto(url)
    await eventually(page, FEED_STATE, "live")
    return page


async def watching(server: AnyPageServer, new_page: NewPage, doc: str) -> Page:
    """A page that logs who comes to a document and goes, without being there."""
    page = await new_page()
    await page.goto(server.url + "/page/watch/")
    await page.evaluate(WATCH, doc)
    await eventually(page, "!!window.room")
    return page


async def count(page: Page, number: int) -> None:
    await expect(page.locator("header presence-count")).to_have_text(str(number))


async def test_two_browsers_see_each_other_come_and_go(server: AnyPageServer, new_page: NewPage) -> None:
    ada, bob = await new_page(), await new_page()
    sockets: list[str] = []
    ada.on("websocket", lambda socket: sockets.append(socket.url))
    await ada.goto(server.url + "/log-in/ada/")
    await live(ada, server.url)
    await count(ada, 1)
    await live(bob, server.url + "/page/other/")
    await count(ada, 2)
    await count(bob, 2)
    await expect(ada.locator(".presence-avatar")).to_have_count(1)
    await expect(ada.locator(".presence-avatar")).to_have_attribute("title", "ada")
    await bob.goto(server.url)
    await expect(ada.locator(".presence-avatar")).to_have_count(2)
    await count(ada, 2)
    await bob.close()
    await count(ada, 1)
    assert len(sockets) == 1


async def test_a_reload_and_a_way_to_another_page_are_seen_as_what_they_are(
    server: AnyPageServer, new_page: NewPage
) -> None:
    watcher = await watching(server, new_page, "reload")
    ada = await new_page()
    await ada.goto(server.url + "/log-in/ada/")
    await live(ada, server.url + "/?doc=reload")
    await eventually(watcher, "log", [["join", "ada"]])
    await ada.reload()
    await eventually(ada, FEED_STATE, "live")
    await count(ada, 1)
    assert await watcher.evaluate("log") == [["join", "ada"]]
    await live(ada, server.url + "/page/other/")
    await eventually(watcher, "log", [["join", "ada"], ["leave", "ada"]])
    await count(ada, 1)


async def test_two_tabs_are_one_person(server: AnyPageServer, new_page: NewPage) -> None:
    watcher = await watching(server, new_page, "tabs")
    first = await live(await new_page(), server.url + "/?doc=tabs")
    await eventually(watcher, "log.length", 1)
    second = await live(await new_page(context=first.context), server.url + "/?doc=tabs")
    await expect(second.locator(".presence-avatar")).to_have_count(1)
    await count(second, 1)
    assert await first.context.cookies() == []
    await first.close()
    await second.close()
    await eventually(watcher, "log", [["join", "Guest"], ["leave", "Guest"]])


async def test_a_visitor_who_logs_out_in_another_tab_goes_and_the_page_stays(
    server: AnyPageServer, new_page: NewPage
) -> None:
    watcher = await watching(server, new_page, "out")
    page = await new_page()
    await page.goto(server.url + "/log-in/ada/")
    await live(page, server.url + "/?doc=out")
    await eventually(watcher, "log", [["join", "ada"]])
    await listen(page, "presence-client:feed")
    await page.evaluate("window.same = true")
    other = await new_page(context=page.context)
    await other.goto(server.url + "/log-out/")
    await expect(page.locator("presence-avatars")).to_have_attribute("data-presence", "refused")
    assert ["presence-client:feed", {"state": "reconnecting", "code": 4401}] in await events(page)
    assert await page.evaluate("window.same")
    await eventually(watcher, "log", [["join", "ada"], ["leave", "ada"]])


@pytest.mark.parametrize("cached", ["for ada", "for visitors"])
async def test_a_cached_page_makes_nobody_of_its_reader_but_themselves(
    server: AnyPageServer, new_page: NewPage, cached: str
) -> None:
    doc = cached.replace(" ", "-")
    watcher = await watching(server, new_page, doc)
    first, bob = await new_page(), await new_page()
    if cached == "for ada":
        await first.goto(server.url + "/log-in/ada/")
    await live(first, f"{server.url}/cached/?doc={doc}")
    await eventually(watcher, "log.length", 1)
    await bob.goto(server.url + "/log-in/bob/")
    await live(bob, f"{server.url}/cached/?doc={doc}")
    avatars = bob.locator("presence-avatars")
    if cached == "for ada":
        await expect(avatars).to_have_attribute("data-presence", "refused")
        assert await watcher.evaluate("log") == [["join", "ada"]]
    else:
        await expect(bob.locator(".presence-avatar[title=bob]")).to_have_count(1)
        await eventually(watcher, "log", [["join", "Guest"], ["join", "bob"]])


async def test_scripts_join_by_key_change_their_meta_and_send(
    server: AnyPageServer, new_page: NewPage
) -> None:
    new_page.allow("403")
    ada, bob = await new_page(), await new_page()
    await ada.goto(server.url + "/log-in/ada/")
    join = """(key) => djustPresence.join(key).then((room) => {
        window.room = room;
        window.log = [];
        const names = (detail) => detail.event ?? `${detail.name} ${detail.status ?? ""}`.trim();
        for (const event of ["join", "leave", "update", "event"]) {
            room.on(event, (detail) => log.push([event, names(detail)]));
        }
    }, ({ code }) => (window.refusal = code))"""
    for page in (ada, bob):
        await page.goto(server.url + "/page/watch/")
        await page.evaluate(join, "doc:9")
    await eventually(ada, "log", [["join", "Guest"]])
    assert await bob.evaluate("room.list().map(({ name }) => name)") == ["ada", "Guest"]
    assert await bob.evaluate("room.list()[1].id === room.me")
    await ada.evaluate("room.update({ status: 'away', name: 'Eve', color: 'red' })")
    await eventually(bob, "log", [["update", "ada away"]])
    assert await bob.evaluate("[room.list()[0].name, room.list()[0].color ?? null]") == ["ada", None]
    await ada.evaluate("room.send('wave', { to: 'all' })")
    await eventually(bob, "log.at(-1)", ["event", "client-wave"])
    await ada.evaluate("room.update({ status: null })")
    await eventually(bob, "log.at(-1)", ["update", "ada"])
    await ada.evaluate("room.leave()")
    await eventually(bob, "log.at(-1)", ["leave", "ada"])
    assert await bob.evaluate("room.count") == 1
    await bob.evaluate(join, "secret")
    await eventually(bob, "refusal", "forbidden")


async def test_a_partial_that_is_swapped_in_and_out_joins_and_leaves(
    server: AnyPageServer, new_page: NewPage
) -> None:
    watcher = await watching(server, new_page, "partial")
    page = await live(await new_page(), server.url + "/?doc=partial")
    await eventually(watcher, "log.length", 1)
    for _ in range(5):
        await page.evaluate(
            """() => {
                const main = document.querySelector("main");
                const next = main.cloneNode(true);
                main.replaceWith(next);
            }"""
        )
    await expect(page.locator(".presence-avatar")).to_have_count(1)
    await page.evaluate("document.querySelector('main').remove()")
    await eventually(watcher, "log", [["join", "Guest"], ["leave", "Guest"]])
    await count(page, 1)


async def test_on_a_live_page_the_servers_rendering_and_the_elements_do_not_fight(
    server: AnyPageServer, new_page: NewPage
) -> None:
    page = await live(await new_page(), server.url + "/live/?doc=live")
    await expect(page.locator("html")).to_have_attribute("data-presence-state", "live")
    others = [await live(await new_page(), server.url + "/?doc=live") for _ in range(2)]
    number, avatars = page.locator("presence-count"), page.locator(".presence-avatar")
    await expect(number).to_have_text("3")
    await expect(avatars).to_have_count(3)
    await page.evaluate(
        """() => {
            window.seen = new Set();
            const look = () => seen.add(document.querySelector("presence-count").textContent);
            new MutationObserver(() => requestAnimationFrame(look))
                .observe(document.body, { childList: true, characterData: true, subtree: true });
        }"""
    )
    for click in range(1, 4):
        await page.get_by_role("button").click()
        await expect(page.get_by_role("button")).to_contain_text(f"{click} clicks, 1 online")
        await expect(number).to_have_text("3")
        await expect(avatars).to_have_count(3)
    assert await page.evaluate("[...seen]") == ["3"]
    await others[0].close()
    await expect(number).to_have_text("2", timeout=10_000)
    await expect(avatars).to_have_count(2)


async def test_a_page_with_all_elements_says_nothing_to_the_console(
    server: AnyPageServer, new_page: NewPage
) -> None:
    page = await new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    await live(page, server.url + "/page/all/")
    await count(page, 1)
    await expect(page.locator("presence-avatars")).to_have_attribute("data-presence", "live")
    await expect(page.locator("presence-dot").first).to_have_attribute("data-presence", "live")
    other = await live(await new_page(), server.url + "/page/all/")
    # Guests of other tests may still be leaving.
    await expect(page.locator("presence-announcements")).to_have_text(
        re.compile(r"^(Guest left\. )*Guest joined\.$")
    )
    await other.close()
    assert said == []


async def test_a_page_with_all_elements_is_accessible(server: AnyPageServer, new_page: NewPage) -> None:
    pages = [await live(await new_page(), server.url + "/page/all/") for _ in range(4)]
    page = pages[0]
    await count(page, 4)
    await expect(page.locator(".presence-more")).to_have_text("+2")
    found = await examined(page)
    assert found.serious == []
    assert {"aria-required-children", "aria-required-parent", "role-img-alt"} <= found.passed
