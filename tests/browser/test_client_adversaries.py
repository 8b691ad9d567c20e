"""Servers that come and go, and pages of WSGI beside those of ASGI."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence

import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.any_page import AnyPageServer
from tests.browser.conftest import NewPage
from tests.browser.harness import FEED_STATE, eventually
from tests.browser.test_client_site import live, watching
from tests.servers import RedisServer, find_valkey_server

# All other times are the real ones.
TIMES = {"retry": 4.0}
databases = itertools.count()
LIVE = 10.0  # seconds, within which a page is live behind any of the proxies
BACK = 60.0  # a bound: sockets are tried after 4 s, then after 8 and 16, and have to live for 5 s


async def in_state(page: Page, state: str, bound: float) -> float:
    """Wait until the page is in this state, and return how long that took."""
    began = time.monotonic()
    await page.wait_for_function(
        "(state) => document.documentElement.dataset.presenceFeed === state", arg=state, timeout=bound * 1_000
    )
    return time.monotonic() - began


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def valkey() -> AsyncIterator[RedisServer]:
    with RedisServer(find_valkey_server()) as valkey:
        yield valkey


@pytest_asyncio.fixture(loop_scope="session")
async def pair(valkey: RedisServer) -> AsyncIterator[tuple[AnyPageServer, AnyPageServer]]:
    """The same site by uvicorn and by gunicorn, with one database and one store, in which nobody is left of another test."""
    variables = {"REDIS_URL": valkey.url(next(databases))}
    asgi = AnyPageServer(times=TIMES, variables=variables)
    wsgi = AnyPageServer(wsgi=True, times=TIMES, variables={**variables, "DB": asgi.variables["DB"]})
    wsgi.allow(r"\[INFO\]")
    with asgi, wsgi:
        yield asgi, wsgi


async def test_pages_of_both_kinds_of_server_are_one_group(
    pair: tuple[AnyPageServer, AnyPageServer], new_page: NewPage
) -> None:
    asgi, wsgi = pair
    watcher = await watching(asgi, new_page, "both")
    ada, bob, eve = [await new_page() for _ in range(3)]
    await ada.goto(wsgi.url + "/log-in/ada/")
    await live(bob, asgi.url + "/?doc=both")
    await ada.goto(wsgi.url + "/?doc=both")
    await in_state(ada, "polling", LIVE)
    await eve.goto(wsgi.url + "/?doc=both")
    await in_state(eve, "polling", LIVE)
    for page in (ada, bob, eve):
        await expect(page.locator(".presence-avatar")).to_have_count(3, timeout=15_000)
        await expect(page.locator("header presence-count")).to_have_text("3", timeout=15_000)
    assert sorted(await watcher.evaluate("log")) == [["join", "Guest"], ["join", "Guest"], ["join", "ada"]]

    # A user who logs out in another tab is a visitor at the next poll.
    await ada.evaluate("window.same = true")
    other = await new_page(context=ada.context)
    await other.goto(wsgi.url + "/log-out/")
    await expect(ada.locator("presence-avatars")).to_have_attribute(
        "data-presence", "refused", timeout=20_000
    )
    assert await ada.evaluate("window.same")
    await eventually(watcher, "log.at(-1)", ["leave", "ada"])


async def test_a_live_page_is_counted_with_pages_that_poll_whichever_server_is_killed(
    pair: tuple[AnyPageServer, AnyPageServer], new_page: NewPage
) -> None:
    new_page.allow("WebSocket connection to|Failed to load resource")
    asgi, wsgi = pair
    watcher = await watching(asgi, new_page, "mixed")
    view, plain, poller = pages = [await new_page() for _ in range(3)]
    await live(view, asgi.url + "/live/?doc=mixed")
    await live(plain, asgi.url + "/?doc=mixed")
    await poller.goto(wsgi.url + "/?doc=mixed")
    await in_state(poller, "polling", LIVE)
    await same_count(pages, 3)
    for server in (asgi, wsgi):
        await asyncio.sleep(5.2)  # the sockets have lived
        await asyncio.to_thread(server.kill)
        lost = [view, plain, watcher] if server is asgi else [poller]
        if server is wsgi:
            await poller.evaluate("window.dispatchEvent(new Event('online'))")
        for page in lost:
            await in_state(page, "reconnecting", LIVE)
        await asyncio.to_thread(server.start)
        for page in lost:
            await in_state(page, "live" if server is asgi else "polling", BACK)
        await same_count(pages, 3)
    assert await watcher.evaluate("log") == [["join", "Guest"]] * 3
    await view.close()
    await same_count([plain, poller], 2)


async def same_count(pages: Sequence[Page], number: int) -> None:
    for page in pages:
        await expect(page.locator(".presence-avatar")).to_have_count(number, timeout=20_000)
        await expect(page.locator("presence-count")).to_have_text(str(number), timeout=20_000)


async def test_a_restart_of_the_server_is_seen_by_nobody(
    pair: tuple[AnyPageServer, AnyPageServer], new_page: NewPage
) -> None:
    new_page.allow("WebSocket connection to|Failed to load resource")
    asgi, wsgi = pair
    poller = await new_page()
    await poller.goto(wsgi.url + "/?doc=restart")
    await in_state(poller, "polling", LIVE)
    watcher = await watching(asgi, new_page, "restart")
    page = await live(await new_page(), asgi.url + "/?doc=restart")
    await eventually(watcher, "log.length", 1)
    for restart in (asgi.stop, asgi.kill):
        await asyncio.sleep(5.2)  # its socket has lived
        await asyncio.to_thread(restart)
        await in_state(page, "reconnecting", LIVE)
        await asyncio.to_thread(asgi.start)
        await in_state(page, "live", BACK)
        await in_state(watcher, "live", BACK)
    await expect(poller.locator(".presence-avatar")).to_have_count(2)
    await expect(page.locator(".presence-avatar")).to_have_count(2)
    assert await watcher.evaluate("log") == [["join", "Guest"]]


async def test_while_the_store_is_away_pages_keep_what_they_show(
    valkey: RedisServer, pair: tuple[AnyPageServer, AnyPageServer], new_page: NewPage
) -> None:
    new_page.allow("Failed to load resource")
    asgi, wsgi = pair
    for server in pair:
        server.allow("Presence store: |[Cc]hannel layer|Service Unavailable")
    watcher = await watching(asgi, new_page, "store")
    poller, page = await new_page(), await new_page()
    await poller.goto(wsgi.url + "/?doc=store")
    await in_state(poller, "polling", LIVE)
    await live(page, asgi.url + "/?doc=store")
    await expect(poller.locator(".presence-avatar")).to_have_count(2, timeout=20_000)
    await asyncio.to_thread(valkey.kill)
    await poller.evaluate("window.dispatchEvent(new Event('online'))")
    await in_state(poller, "reconnecting", LIVE)
    await asyncio.sleep(2)
    await expect(poller.locator(".presence-avatar")).to_have_count(2)
    await expect(page.locator(".presence-avatar")).to_have_count(2)
    assert await page.evaluate(FEED_STATE) == "live"
    await asyncio.to_thread(valkey.start)  # it has forgotten everything
    await in_state(poller, "polling", 30)
    newcomer = await live(await new_page(), asgi.url + "/?doc=store")
    for shown in (poller, page, newcomer):
        await expect(shown.locator(".presence-avatar")).to_have_count(3, timeout=30_000)
    names = [name for name, _ in await watcher.evaluate("log")]
    assert "leave" not in names
    assert names.count("join") == 3
