"""Pages of a WSGI server, which poll, and pages with sockets, in one group on a real Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from http.client import HTTPException
from secrets import token_urlsafe

import pytest

from tests.cluster.conftest import LEASE_TTL, StartSite
from tests.cluster.test_feed import opened, people, until_people
from tests.feed.pages import issue
from tests.feed.polled import OverHTTP, PolledPage
from tests.feed_load import Client
from tests.servers import RedisServer, SiteServer

pytestmark = pytest.mark.redis

SETTINGS = "tests.cluster.poll_settings"
STORE_AWAY = r"Presence store: |Channel layer: |The channel layer did not take|channels_redis"

Start = Callable[..., tuple[SiteServer, SiteServer]]


@pytest.fixture
def start_mixed(start_site: StartSite) -> Start:
    """Starts a server for sockets, and one with two workers for pages that poll."""

    def start(**presence: object) -> tuple[SiteServer, SiteServer]:
        sites = (
            start_site(settings=SETTINGS, **presence),
            start_site("gunicorn", settings=SETTINGS, **presence),
        )
        for site in sites:
            site.allow(STORE_AWAY)
        return sites

    return start


class Polled(PolledPage):
    """A page that goes on polling by itself until it is closed; *key* is its group."""

    def __init__(self, site: SiteServer, visitor: str, key: str = "site") -> None:
        super().__init__(OverHTTP(site.port), visitor)
        self.key = key
        self.failures: list[object] = []
        self.want(key)

    async def run(self) -> None:
        while True:
            pause = 0.5
            try:
                reply = await asyncio.to_thread(self.poll)
                if reply.status == 200:
                    pause = min(reply.json["every"], 1.0)
                else:
                    self.failures.append(reply.status)
            except (OSError, HTTPException) as error:
                self.failures.append(error)
            await asyncio.sleep(pause)

    async def until_count(self, count: int, within: float = 30) -> float:
        began = time.monotonic()
        async with asyncio.timeout(within):
            while self.rooms.get(self.key, {}).get("count") != count:
                await asyncio.sleep(0.05)
        return time.monotonic() - began


async def socket(stack: AsyncExitStack, site: SiteServer, visitor: str | None = None) -> Client:
    page = await opened(stack, Client(site), visitor or token_urlsafe(16))
    host = f"127.0.0.1:{site.port}"
    await page.join({"room": _room(), "ticket": issue("site", host=host)})
    return page


def _room() -> str:
    from djust_presence.feed.tickets import room_of

    return room_of("site")


async def poll(group: asyncio.TaskGroup, *pages: Polled) -> list[asyncio.Task[None]]:
    return [group.create_task(page.run()) for page in pages]


def leaves(page: Client) -> int:
    return sum(len(frame.get("leaves", [])) for frame in page.frames)


def joins(page: Client) -> int:
    return sum(len(frame.get("joins", [])) for frame in page.frames)


async def through(work: Callable[[asyncio.TaskGroup], Awaitable[None]]) -> None:
    """Do *work*, and then end its tasks."""

    class Done(Exception):
        pass

    async def run(group: asyncio.TaskGroup) -> None:
        await work(group)
        raise Done

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(run(group))
    except* Done:
        pass


async def until(condition: Callable[[], object], within: float = 30) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.05)


async def test_both_kinds_of_pages_show_the_same_people(start_mixed: Start) -> None:
    sockets, wsgi = start_mixed()
    polled = [Polled(wsgi, token_urlsafe(16)) for _ in range(4)]

    async def work(group: asyncio.TaskGroup) -> None:
        async with AsyncExitStack() as stack:
            live = await socket(stack, sockets)
            await poll(group, *polled)
            for page in polled:
                await page.until_count(5)
            await until_people(live, 5)
            shown = {one["id"] for one in polled[0].rooms["site"]["members"]}
            assert shown == people(live)
        await polled[0].until_count(4)

    await through(work)
    assert sockets.unexpected == wsgi.unexpected == []


async def test_a_page_that_says_goodbye_is_gone_within_the_bound(start_mixed: Start) -> None:
    sockets, wsgi = start_mixed(GRACE=0.5)
    stays, leaves_it = (Polled(wsgi, token_urlsafe(16)) for _ in range(2))

    async def work(group: asyncio.TaskGroup) -> None:
        async with AsyncExitStack() as stack:
            live = await socket(stack, sockets)
            _, task = await poll(group, stays, leaves_it)
            await until_people(live, 3)
            await asyncio.sleep(LEASE_TTL / 2 + 0.5)  # the store has been heard from for a while
            task.cancel()
            began = time.monotonic()
            await asyncio.to_thread(leaves_it.bye)
            await until_people(live, 2)
            assert time.monotonic() - began < 0.5 + LEASE_TTL / 6 + 5  # a busy machine

    await through(work)


async def test_pages_that_poll_reap_a_server_of_sockets_that_was_killed(start_mixed: Start) -> None:
    sockets, wsgi = start_mixed()
    polled = [Polled(wsgi, token_urlsafe(16)) for _ in range(2)]

    async def work(group: asyncio.TaskGroup) -> None:
        async with AsyncExitStack() as stack:
            await socket(stack, sockets)
            await poll(group, *polled)
            await polled[0].until_count(3)
            sockets.kill()
            assert await polled[0].until_count(2) < 2 * LEASE_TTL + 5
            await polled[1].until_count(2)

    await through(work)


async def test_nobody_sees_that_the_server_of_pages_that_poll_was_killed(
    start_mixed: Start, start_site: StartSite
) -> None:
    sockets, wsgi = start_mixed()
    polled = [Polled(wsgi, token_urlsafe(16)) for _ in range(2)]

    async def work(group: asyncio.TaskGroup) -> None:
        async with AsyncExitStack() as stack:
            live = await socket(stack, sockets)
            await poll(group, *polled)
            await until_people(live, 3)
            wsgi.kill()
            await until(lambda: all(page.failures for page in polled))
            await asyncio.sleep(2)  # its workers end when they notice
            start_site("gunicorn", port=wsgi.port, settings=SETTINGS)
            answered = [page.last for page in polled]
            await until(
                lambda: all(page.last is not last for page, last in zip(polled, answered, strict=True))
            )
            await asyncio.sleep(LEASE_TTL / 2)
            assert leaves(live) == 0
            assert people(live) == {one["id"] for one in polled[0].rooms["site"]["members"]}
            assert [page.again for page in polled] == [0, 0]

    await through(work)


async def outage(
    start: Start, redis: RedisServer, seconds: float, recovery: float, **presence: object
) -> None:
    sockets, wsgi = start(**presence)
    polled = [Polled(wsgi, token_urlsafe(16)) for _ in range(3)]

    async def work(group: asyncio.TaskGroup) -> None:
        async with AsyncExitStack() as stack:
            live = await socket(stack, sockets)
            await poll(group, *polled)
            await until_people(live, 4)
            redis.freeze()
            try:
                await asyncio.sleep(seconds)
            finally:
                redis.thaw()
            began = time.monotonic()
            newcomer = Polled(wsgi, token_urlsafe(16))
            await poll(group, newcomer)
            for page in (*polled, newcomer):
                await page.until_count(5, recovery)
            await until_people(live, 5)
            assert time.monotonic() - began < recovery
            await asyncio.sleep(recovery)
            assert leaves(live) == 0
            assert all(503 in page.failures for page in polled)

    await through(work)


async def test_an_outage_of_the_store_is_no_leave(start_mixed: Start, redis: RedisServer) -> None:
    await outage(start_mixed, redis, 2 * LEASE_TTL, LEASE_TTL + 5)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seconds", [20, 100])
async def test_a_long_outage_of_the_store_is_no_leave(
    start_mixed: Start, redis: RedisServer, seconds: int
) -> None:
    await outage(start_mixed, redis, seconds, 90, LEASE_TTL=30)


async def test_a_page_that_changes_its_transport_is_seen_to_come_once(start_mixed: Start) -> None:
    sockets, wsgi = start_mixed(GRACE=0.5)
    visitor = token_urlsafe(16)

    async def work(group: asyncio.TaskGroup) -> None:
        async with AsyncExitStack() as stack:
            watcher = await socket(stack, sockets)
            pages: Sequence[Polled] = [Polled(wsgi, visitor), Polled(wsgi, visitor)]
            (task,) = await poll(group, pages[0])
            await until_people(watcher, 2)
            async with AsyncExitStack() as later:
                page = await socket(later, sockets, visitor)
                await until_people(page, 2)
                task.cancel()
                await asyncio.to_thread(pages[0].bye)
                await asyncio.sleep(LEASE_TTL)
                (task,) = await poll(group, pages[1])
                await pages[1].until_count(2)
            await asyncio.sleep(LEASE_TTL)
            assert (joins(watcher), leaves(watcher)) == (1, 0)

    await through(work)
