"""Two sites on one Redis and one channel layer: neither hears of, or touches, anything of the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from djust_presence.state.records import SCHEMA
from tests.cluster.conftest import LEASE_TTL
from tests.cluster.rooms import SITE, RoomPage
from tests.cursors.drawing import Drawing
from tests.live_pages import LivePage, Person
from tests.monitor import Monitor
from tests.servers import RedisServer, SiteServer

ROOMS = ("1", "2")
LAYERS = {
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
    "core": "channels_redis.core.RedisChannelLayer",
}


class Site:
    """Server processes that share their users, and people in rooms on them."""

    def __init__(self, name: str, servers: tuple[SiteServer, ...]) -> None:
        self.name, self.servers = name, servers
        self.pages: list[RoomPage] = []
        self.watcher = LivePage(servers[0], "/document/1/", Person(servers[0], "grace"))

    async def settle(self, stack: AsyncExitStack) -> None:
        """In each room, on each server, somebody of this site and somebody who is on the other site too."""
        for number, server in enumerate(self.servers):
            for room in ROOMS:
                for user in ("same", f"{self.name}-{number}"):
                    self.pages.append(RoomPage(server, room, user, kind="desk"))
        await asyncio.gather(*map(stack.enter_async_context, (*self.pages, self.watcher)))
        for page in self.pages:
            await page.until_ready()
            await page.send(type="cursors")
        for page in self.pages:
            here = {f"{self.name}-{number}": 1 for number, _ in enumerate(self.servers)}
            await page.until_users({"same": len(self.servers), **here})

    async def act(self) -> None:
        """People come and go, change, call out, move their pointers, log in and out; all pages here have seen it."""
        page = self.pages[-1]
        others = [one for one in self.pages if one.room == page.room]
        calls = len(others[0].calls)
        for n in range(3):
            await page.say(f"busy-{n}")
            await page.call_out(f"hello-{n}")
            await page.send(type="cursor", x=n, y=n, w=100, h=100)
        for one in others:
            await one.until_status(page.user, "busy-2")
            await one.until_calls(calls + 3)
            if one is not page:
                await until_drawn(one, page.user.title())
        for server in self.servers:
            async with RoomPage(server, page.room, f"{self.name}-visitor", kind="desk") as visitor:
                await page.until(lambda: visitor.user in page.users)
                await visitor.until(lambda: visitor.users.get("same") == len(self.servers))
                async with asyncio.timeout(LivePage.patience):  # the cache is written once a second
                    while f"<b>{page.user}</b>" not in visitor.html:
                        visitor.html = await asyncio.to_thread(visitor.person.get, server, visitor.path)
            await page.until(lambda: visitor.user not in page.users)
        ada = Person(self.servers[0], "ada")
        left = self.watcher.flashes.count("ada left")
        async with LivePage(self.servers[-1], "/document/1/", ada) as open_page:
            await self.watcher.until(lambda: self.watcher.online == 2)
            await asyncio.to_thread(ada.get, self.servers[0], "/as/guest/?next=/counter/")
            await open_page.until(lambda: open_page.close_code == 4401)
        await self.watcher.until(lambda: self.watcher.flashes.count("ada left") == left + 1)

    async def until_still(self) -> list[list[object]]:
        """All that the pages were sent, once there is no more of it for a second."""
        async with asyncio.timeout(LivePage.patience):
            while True:
                before = self.heard()
                await asyncio.sleep(1)
                if before == self.heard():
                    return before

    def heard(self) -> list[list[object]]:
        """All that the pages were sent so far, but for pings."""
        return [
            [frame for frame in page.frames if frame["type"] != "ping"]
            for page in (*self.pages, self.watcher)
        ]


async def until_drawn(page: LivePage, name: str) -> None:
    """Wait until *page* has drawn the pointer of *name*."""

    def drawn() -> Drawing:
        drawing = Drawing()
        for frame in page.frames:
            if frame["type"] == "cursors":
                drawing.take(frame)
        return drawing

    await page.until(lambda: name in drawn().shown)


@pytest.fixture(params=["prefix", "database"])
def two_sites(
    request: pytest.FixtureRequest, redis: RedisServer, tmp_path: Path
) -> Iterator[tuple[Site, Site, Monitor]]:
    """A site of two processes and one of one: on another prefix, or on another database."""

    def start(name: str, database: int, **options: str) -> SiteServer:
        # A pointer that has been still for CURSOR_TIMEOUT would be news to the quiet site.
        presence = {"LEASE_TTL": LEASE_TTL, "GRACE": 0.2, "CURSOR_TIMEOUT": 300, "OPTIONS": options}
        variables = {
            "DB": str(tmp_path / f"{name}.sqlite3"),
            "REDIS_URL": redis.url(database),
            "PRESENCE": json.dumps(presence),
            "CLIENT": name,
            "LAYER": LAYERS["pubsub" if request.param == "prefix" else "core"],
            **SITE,
        }
        server = SiteServer(variables)
        server.allow("djust_presence.W|channels_redis.core")
        return stack.enter_context(server)

    with Monitor(redis) as monitor, ExitStack() as stack:
        if request.param == "prefix":
            one = Site("one", (start("one", 3, prefix="one"), start("one", 3, prefix="one")))
            two = Site("two", (start("two", 3, prefix="two"),))
        else:
            one, two = Site("one", (start("one", 3), start("one", 3))), Site("two", (start("two", 4),))
        yield one, two, monitor


async def test_two_sites_on_one_redis_have_nothing_in_common(two_sites: tuple[Site, Site, Monitor]) -> None:
    one, two, monitor = two_sites
    async with AsyncExitStack() as stack:
        await one.settle(stack)
        await two.settle(stack)
        for busy, quiet in ((one, two), (two, one)):
            before = await quiet.until_still()
            await busy.act()
            async with RoomPage(quiet.servers[0], f"only-{busy.name}", "same") as first:
                assert first.online in (None, 1)
                async with RoomPage(busy.servers[0], f"only-{busy.name}", "same") as other:
                    await other.until(lambda: other.users == {"same": 1})
                    await other.call_out("is anybody there?")
                    await other.until(lambda: other.calls)
                    await asyncio.sleep(
                        2 * LEASE_TTL / 6 + 0.5
                    )  # a mismatch would be seen at the next renewal
                assert first.users == {"same": 1}
                assert first.told("join", "leave", "update") == [("join", "same", "here")]
                assert first.calls == []
            assert quiet.heard() == before
        for site, name in ((one, "two-"), (two, "one-")):
            shown = "".join(page.html + repr(page.frames) for page in site.pages)
            assert name not in shown
    await asyncio.gather(*(asyncio.to_thread(server.stop) for server in (*one.servers, *two.servers)))
    monitor.end()
    used = monitor.names()
    assert {"one", "two"} == used.keys()
    assert used["one"] & used["two"] == set()
    for name in ("one", "two"):  # and all kinds of them were seen
        for part in ("djust_presence.cursors.", f":{SCHEMA}:V", "group"):
            assert any(part in one for one in used[name]), (part, used[name])
