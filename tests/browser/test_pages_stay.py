"""The example project's pages through reloads, restarts, and a lost permission; and on narrow screens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, WebSocket, expect

from tests.browser.conftest import NewPage
from tests.servers import SiteServer


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[SiteServer]:
    """One process; a restarted one has the same port, database and log."""
    with SiteServer() as server:
        yield server


async def enter(page: Page, server: SiteServer, username: str, path: str) -> Page:
    await page.goto(f"{server.url}/as/{username}/?next={path}")
    return page


async def is_live(page: Page) -> None:
    await expect(page.locator("html")).to_have_attribute("data-presence-state", "live")


async def watch(page: Page) -> None:
    """Let *page* record what it says about people who come and go."""
    await page.evaluate(
        """() => {
            window.seen = [];
            addEventListener("djust:push_event", (event) => window.seen.push(event.detail.payload.message));
            const bar = document.querySelector(".presence-bar");
            new MutationObserver(() => window.seen.push(bar.textContent.match(/\\d+ users? online/)[0]))
                .observe(bar, { childList: true, subtree: true, characterData: true });
        }"""
    )


async def test_a_reload_shows_nobody_leaving(new_page: NewPage, server: SiteServer) -> None:
    ada = await enter(await new_page(), server, "ada", "/document/reload/")
    await is_live(ada)
    grace = await enter(await new_page(), server, "grace", "/document/reload/")
    bar = ada.locator(".presence-bar")
    await expect(bar).to_contain_text("2 users online")
    await watch(ada)
    for _ in range(3):
        await grace.reload()
        await is_live(grace)
        await asyncio.sleep(1)
    await asyncio.sleep(2)  # the grace of the last tab
    await expect(bar).to_contain_text("2 users online")
    seen = await ada.evaluate("window.seen")
    assert not [one for one in seen if one.startswith("1 ") or "left" in one or "joined" in one], seen


async def test_the_socket_comes_back_after_a_restart_and_the_count_is_right(
    new_page: NewPage, server: SiteServer
) -> None:
    new_page.allow("WebSocket connection to|ERR_CONNECTION_REFUSED")
    first = await enter(await new_page(), server, "ada", "/document/restart/")
    second = await enter(await new_page(), server, "grace", "/document/restart/")
    await expect(first.locator(".presence-bar")).to_contain_text("2 users online")
    await asyncio.to_thread(server.stop)
    await expect(first.locator("html")).to_have_attribute("data-presence-state", "reconnecting")
    await expect(first.locator(".presence-bar")).to_contain_text("2 users online")
    await asyncio.to_thread(server.start)
    for page in (first, second):
        await expect(page.locator("html")).to_have_attribute("data-presence-state", "live", timeout=20_000)
        await expect(page.locator(".presence-bar")).to_contain_text("2 users online", timeout=10_000)


@pytest.mark.redis
@pytest.mark.parametrize("kind", ["uvicorn", "daphne"])
async def test_nobody_on_another_server_sees_a_restart(valkey_url: str, new_page: NewPage, kind: str) -> None:
    new_page.allow("WebSocket connection to|ERR_CONNECTION_REFUSED")
    variables = {
        "REDIS_URL": valkey_url,
        "DJANGO_SETTINGS_MODULE": "tests.site_settings",
        "PRESENCE": '{"DRAIN_GRACE": 60}',  # more than a restart on a busy machine
    }
    with (
        SiteServer(variables, server=kind) as here,
        SiteServer(variables | {"DB": here.variables["DB"]}, server=kind) as there,
    ):
        ada, guest = [await enter(await new_page(), here, who, "/document/roll/") for who in ("ada", "guest")]
        grace = await enter(await new_page(), there, "grace", "/document/roll/")
        for page in (ada, guest, grace):
            await expect(page.locator(".presence-bar")).to_contain_text("3 users online")
        await expect(ada.locator("#toasts")).to_contain_text("Grace joined")
        await watch(grace)
        await asyncio.to_thread(here.stop)
        await expect(ada.locator("html")).to_have_attribute("data-presence-state", "reconnecting")
        await asyncio.to_thread(here.start)
        for page in (ada, guest):
            await expect(page.locator("html")).to_have_attribute(
                "data-presence-state", "live", timeout=20_000
            )
            await expect(page.locator(".presence-bar")).to_contain_text("3 users online")
        seen = await grace.evaluate("window.seen")
        assert not [one for one in seen if not one.startswith("3 ")], seen
        await enter(await new_page(), here, "alan", "/document/roll/")
        await expect(grace.locator(".presence-bar")).to_contain_text("4 users online")
        assert {"alan joined", "4 users online"} <= set(await grace.evaluate("window.seen"))
        await new_page.close()


@pytest.fixture
def strict_server() -> Iterator[SiteServer]:
    """One in whose log Django may say, as it does over HTTP, that it has forbidden a page."""
    with SiteServer() as server:
        server.allow(r"^Forbidden \(Permission denied\): /private/")
        yield server


async def test_a_page_that_is_forbidden_by_now_is_closed_and_does_not_try_again(
    strict_server: SiteServer, new_page: NewPage
) -> None:
    server = strict_server
    page = await enter(await new_page(), server, "katherine", "/private/")
    await is_live(page)
    sockets: list[WebSocket] = []
    new_page.allow("403")
    page.on("websocket", lambda socket: sockets.append(socket))  # playwright takes no builtin
    # She is no longer a member when the page opens its next socket.
    demote = "from django.contrib.auth.models import User; User.objects.update(is_staff=False)"
    await asyncio.to_thread(server.manage, "shell", "-c", demote)
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    await page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    await expect(page.locator("html")).to_have_attribute("data-presence-state", "stopped")
    await asyncio.sleep(2)
    assert len(sockets) == 1
    await expect(page.locator("html")).to_have_attribute("data-presence-state", "stopped")


async def test_a_page_says_at_once_that_its_user_has_logged_out_in_another_tab(
    strict_server: SiteServer, new_page: NewPage
) -> None:
    page = await enter(await new_page(), strict_server, "katherine", "/private/")
    await is_live(page)
    new_page.allow("403")
    await enter(await page.context.new_page(), strict_server, "guest", "/counter/")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Members only")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 390, 1280])
@pytest.mark.parametrize("path", ["/", "/counter/", "/document/42/", "/chat/tea/", "/whiteboard/friends/"])
async def test_no_page_scrolls_sideways(
    new_page: NewPage, server: SiteServer, path: str, width: int, scheme: str
) -> None:
    page = await new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    await page.goto(server.url + path)
    await is_live(page)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
