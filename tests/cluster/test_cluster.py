"""People on two servers see each other, and go on seeing each other when something breaks."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack

import pytest

from tests.cluster.conftest import LEASE_TTL, StartPair, StartSite
from tests.live_pages import LivePage, Person
from tests.servers import RedisServer, SiteServer

Sites = tuple[SiteServer, SiteServer]

SOON = LEASE_TTL + LEASE_TTL / 6 + 5  # a crash is noticed after a lease and a renewal; the rest is patience


async def test_a_join_in_one_process_is_seen_in_the_other(sites: Sites) -> None:
    a, b = sites
    async with LivePage(a, "/document/1/", Person(a, "ada")) as ada:
        await ada.until(lambda: ada.online == 1)
        async with LivePage(b, "/document/1/", Person(b, "grace")) as grace:
            await ada.until(lambda: ada.online == 2)
            await grace.until(lambda: grace.online == 2)
            assert "Ada" in grace.regions["live-1"] + grace.html
        await ada.until(lambda: ada.online == 1)
        await ada.until(lambda: "grace left" in [flash.lower() for flash in ada.flashes])
        assert [flash.lower() for flash in ada.flashes] == ["ada joined", "grace joined", "grace left"]


async def test_two_tabs_in_two_processes_are_one_user(sites: Sites) -> None:
    a, b = sites
    ada = Person(a, "ada")
    async with AsyncExitStack() as stack:
        watcher = await stack.enter_async_context(LivePage(a, "/document/1/", Person(a, "grace")))
        await watcher.until(lambda: "grace joined" in [flash.lower() for flash in watcher.flashes])
        first = await stack.enter_async_context(LivePage(a, "/document/1/", ada))
        await first.until(lambda: first.online == 2)
        async with LivePage(b, "/document/1/", ada) as second:
            await second.until(lambda: second.online == 2)
        # The tab's grace, and then some: a leave would have come by now.
        async with LivePage(b, "/document/1/", Person(b, "alan")) as alan:
            await asyncio.sleep(3)
            assert alan.online == watcher.online == 3
        assert not [flash for flash in watcher.flashes if "ada left" in flash.lower()]


async def test_a_user_in_a_killed_process_is_gone_after_a_lease_and_a_renewal(sites: Sites) -> None:
    a, b = sites
    async with LivePage(b, "/document/1/", Person(b, "grace")) as grace:
        async with LivePage(a, "/document/1/", Person(a, "ada")) as ada:
            await grace.until(lambda: grace.online == 2)
            a.kill()
            await ada.until(lambda: ada.close_code is not None)
            await grace.until(lambda: grace.online == 1, patience=SOON)
        await grace.until(lambda: [flash for flash in grace.flashes if "left" in flash])
        assert len([flash for flash in grace.flashes if "left" in flash]) == 1


async def test_a_process_that_hangs_is_given_up_and_comes_back_without_ghosts(
    sites: Sites, redis: RedisServer
) -> None:
    a, b = sites
    async with (
        LivePage(b, "/document/1/", Person(b, "grace")) as grace,
        LivePage(a, "/document/1/", Person(a, "ada")) as ada,
        LivePage(a, "/document/1/", Person(a, "alan")) as alan,
    ):
        for page in (grace, ada, alan):
            await page.until_online(3)
        a.freeze()
        try:
            await grace.until(lambda: grace.online == 1, patience=SOON)
            alan.abort()
        finally:
            a.thaw()
        await grace.until(lambda: grace.flashes.count("ada joined") == 2)
        await grace.until_online(2)  # when the grace of alan's closed page is over
        assert "grace left" not in ada.flashes
        await ada.close()
        await grace.until_online(1)
        await grace.until(lambda: grace.flashes[-1] == "ada left")
        assert [flash for flash in grace.flashes if "ada" in flash] == ["ada joined", "ada left"] * 2
        assert redis.command_line("HLEN", "{djp}:2:r:document:1") == ":1\r\n"


async def test_a_flushed_redis_makes_nobody_leave(sites: Sites, redis: RedisServer) -> None:
    a, b = sites
    async with (
        LivePage(a, "/document/1/", Person(a, "ada")) as ada,
        LivePage(b, "/document/1/", Person(b, "grace")) as grace,
    ):
        await ada.until(lambda: ada.online == 2)
        await grace.until(lambda: grace.online == 2)
        seen = len(ada.frames), len(grace.frames)
        redis.command_line("FLUSHALL")
        await asyncio.sleep(LEASE_TTL + 2)
        assert (ada.online, grace.online) == (2, 2)
        assert not [flash for flash in ada.flashes + grace.flashes if "left" in flash]
        async with LivePage(b, "/document/1/", Person(b, "alan")) as alan:
            await ada.until(lambda: ada.online == 3)
            await alan.until(lambda: alan.online == 3)
        await ada.until(lambda: ada.online == 2)
        await ada.until(lambda: [flash.lower() for flash in ada.flashes[-2:]] == ["alan joined", "alan left"])
        assert seen <= (len(ada.frames), len(grace.frames))


async def test_pages_go_on_while_redis_hangs(sites: Sites, redis: RedisServer) -> None:
    a, b = sites
    for site in sites:
        site.allow(r"Presence store: (writes|reads) (fail \(Redis at \S+: Timeout|work again)")
    async with LivePage(a, "/document/1/", Person(a, "ada")) as ada:
        await ada.until(lambda: ada.online == 1)
        grace = Person(a, "grace")
        redis.freeze()
        try:
            async with LivePage(a, "/counter/", Person(a)) as other:
                await other.until(lambda: other.frames, patience=10)
                assert other.frames[0]["type"] == "ready"
                await ada.send(type="ping")
                await ada.until(lambda: {"type": "pong"} in ada.frames, patience=10)
                redis.thaw()
                await other.until(lambda: other.online == 1)
        finally:
            redis.thaw()
        async with LivePage(b, "/document/1/", grace):
            await ada.until(lambda: ada.online == 2)


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_a_visitor_who_comes_back_after_a_clean_stop_has_never_been_away(
    start_pair: StartPair, server: str
) -> None:
    a, b = start_pair(server)
    people = [Person(b, name) for name in ("ada", "alan")]
    async with LivePage(b, "/document/1/", Person(b, "grace")) as grace:
        pages = [LivePage(a, "/document/1/", person) for person in people]
        for page in pages:
            await page.open()
        await grace.until(lambda: grace.online == 3)
        await grace.until(lambda: len(grace.flashes) == 3)
        seen = list(grace.flashes)
        await asyncio.to_thread(a.stop)
        for page in pages:
            await page.until_closed()
        back = [LivePage(b, "/document/1/", person) for person in people]
        for page in back:
            await page.open()
            await page.until_online(3)
        await asyncio.sleep(LEASE_TTL + 3)
        assert grace.online == 3
        assert grace.flashes == seen
        for page in back:
            await page.close()


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
async def test_a_visitor_who_does_not_come_back_after_a_clean_stop_is_gone_after_its_grace(
    start_site: StartSite, server: str
) -> None:
    a, b = start_site(server, DRAIN_GRACE=1, LEASE_TTL=12), start_site(server)
    async with (
        LivePage(b, "/document/1/", Person(b, "grace")) as grace,
        LivePage(b, "/counter/", Person(b)) as counter,
        LivePage(a, "/document/1/", Person(a, "ada")),
        LivePage(a, "/counter/", Person(a)),
    ):
        await grace.until_online(2)
        await counter.until_online(2)
        await asyncio.to_thread(a.stop)
        await counter.until(lambda: counter.online == 1, patience=SOON)
        await grace.until(lambda: grace.online == 1, patience=SOON)
        await grace.until(lambda: [flash.lower() for flash in grace.flashes[-1:]] == ["ada left"])


async def test_no_session_key_is_ever_shown(sites: Sites) -> None:
    a, b = sites
    people = [Person(a), Person(b), Person(a, "ada")]
    pages = [
        LivePage(site, path, person)
        for person in people
        for site in sites
        for path in ("/document/1/", "/counter/")
    ]
    for page in pages:
        await page.open()
    await pages[0].until(lambda: pages[0].online == 3)
    shown = "".join(page.html + repr(page.frames) for page in pages)
    for page in pages:
        await page.close()
    logs = a.log.read_text() + b.log.read_text()
    for person in people:
        assert person.session_key
        assert person.session_key not in shown
        assert person.session_key not in logs
    assert re.search(r"\b3\s+users online", shown)
