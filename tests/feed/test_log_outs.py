"""Log-outs and lost accounts while rooms are open."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import AsyncClient
from pytest_django import Settings

from djust_presence import presence
from tests.feed.pages import FeedPage, issue, opened
from tests.until import until, until_equal

pytestmark = pytest.mark.usefixtures("quiet_presence", "transactional_db")


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.feed.urls"
    settings.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0.2, "GRACE": 60}


@pytest.fixture
def ada(transactional_db: None) -> User:
    return User.objects.create_user("ada", password="first")


async def logged_in(user: User) -> AsyncClient:
    client = AsyncClient()
    await sync_to_async(client.force_login)(user)
    return client


async def closed(page: FeedPage) -> int:
    while True:
        message = await page.receive_output(timeout=5)
        if message["type"] == "websocket.close":
            return int(message["code"])


async def present(key: str) -> int:
    return await asyncio.to_thread(presence.count, key)


async def test_a_log_out_closes_the_socket_and_the_visitor_comes_back_as_anonymous(ada: User) -> None:
    client = await logged_in(ada)
    bound, public = issue("mine", ada), issue("site")
    async with opened(client) as page:
        await page.join("mine", bound)
        await page.join("site", public)
        assert page.names("site") == ["ada"]
        await client.alogout()
        assert await closed(page) == 4401
    await until_count("site", 0)
    async with opened(client) as page:
        await page.join("site", public)
        assert (page.counts["site"], page.names("site")) == (1, [""])
        await page.join("mine", bound, until="refused")
        assert page.refused == {"mine": "other"}


async def until_count(key: str, count: int) -> None:
    await until_equal(lambda: present(key), count, 5)


@pytest.mark.parametrize("how", ["deactivated", "deleted", "password", "session"])
async def test_a_user_who_may_no_longer_be_here_is_gone_at_once(how: str, ada: User) -> None:
    async with opened(await logged_in(ada)) as page:
        await page.join("site")
        match how:
            case "deactivated":
                ada.is_active = False
                await ada.asave()
            case "deleted":
                await ada.adelete()
            case "password":
                await sync_to_async(ada.set_password)("second")
                await ada.asave()
            case "session":
                await Session.objects.all().adelete()
        assert await closed(page) == 4401
        await until_count("site", 0)


async def test_a_visitor_who_stays_logged_in_stays(ada: User) -> None:
    async with opened(await logged_in(ada)) as page, opened() as visitor:
        await page.join("site")
        await visitor.join("site")
        await asyncio.sleep(1)
        for one in (page, visitor):
            await one.say("ping")
            await one.until_frame("pong")
        assert await present("site") == 2


async def test_the_user_that_authorize_gets_is_fresh(ada: User, settings: Settings) -> None:
    seen: list[Any] = []

    def may_join(request: Any, key: str) -> bool:
        seen.append(request.user.first_name)
        return True

    settings.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0.2, "AUTHORIZE": may_join}
    async with opened(await logged_in(ada)) as page:
        await page.join("site")
        await until(lambda: bool(seen))
        ada.first_name = "Augusta"
        await ada.asave()
        await until(lambda: seen[-1] == "Augusta")


async def test_no_session_is_begun_or_written(ada: User, settings: Settings) -> None:
    def rows() -> list[Any]:
        return list(Session.objects.values_list("session_key", "session_data", "expire_date"))

    settings.DJUST_PRESENCE = {
        "REAUTH_INTERVAL": 0.2,
        "AUTHORIZE": lambda request, key: bool(request.session.get("x", 1)),
    }
    client = await logged_in(ada)
    before = await sync_to_async(rows)()
    async with opened(client) as page, opened() as visitor:
        for one in (page, visitor):
            await one.join("site")
        await asyncio.sleep(0.5)
    assert await sync_to_async(rows)() == before
