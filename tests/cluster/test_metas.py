"""A user's tabs have different metas: everybody sees the latest one of a tab that is still open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.cluster.conftest import LEASE_TTL, StartPair
from tests.cluster.rooms import SITE, RoomPage
from tests.servers import SiteServer

GRACE = 0.5
BOUND = 5.0  # beside a grace or a lease: a renewal, and a busy machine

Servers = tuple[SiteServer, SiteServer]
Update = tuple[str, str, str]


@pytest_asyncio.fixture(params=["memory", "redis"])
async def servers(request: pytest.FixtureRequest) -> AsyncIterator[Servers]:
    """The servers of one tab and of another; with the memory backend they are one process."""
    if request.param == "redis":
        start: StartPair = request.getfixturevalue("start_pair")
        # With a lease this long no renewal comes to mend what a step got wrong.
        times = {"GRACE": GRACE, "LEASE_TTL": 120}
        yield start(settings=SITE["DJANGO_SETTINGS_MODULE"], **times)
        return
    with SiteServer(SITE | {"PRESENCE": json.dumps({"GRACE": GRACE})}) as server:
        yield server, server


def updates_of(*statuses: str) -> list[Update]:
    return [("update", "ada", status) for status in statuses]


class Tabs:
    """Tabs of ada, and one of another user on each server; all of them are told the same of her."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.watchers = [RoomPage(server, "1", f"grace{n}") for n, server in enumerate(servers)]
        self.tabs: list[RoomPage] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Tabs:
        for watcher in self.watchers:
            await self._stack.enter_async_context(watcher)
        for watcher in self.watchers:
            await watcher.until_users({one.user: 1 for one in self.watchers})
        return self

    async def __aexit__(self, *error: object) -> None:
        for tab in tuple(self.tabs):
            await tab.close()
        await self._stack.aclose()

    async def open(self, server: SiteServer, status: str) -> RoomPage:
        tab = RoomPage(server, "1", "ada", status)
        await tab.open()
        self.tabs.append(tab)
        await self.until_shown(status)
        return tab

    async def say(self, tab: RoomPage, status: str) -> None:
        await tab.say(status)
        await self.until_shown(status)

    async def close(self, tab: RoomPage) -> None:
        self.tabs.remove(tab)
        await tab.close()

    @property
    def pages(self) -> list[RoomPage]:
        return [*self.watchers, *self.tabs]

    async def until_shown(self, status: str, patience: float = BOUND) -> None:
        """Wait until all pages show *status* for ada, and how many tabs she has."""
        for page in self.pages:
            await page.until(
                lambda page=page: "ada" in page.rows and page.rows["ada"][1:] == (status, len(self.tabs)),  # type: ignore[misc]
                patience=patience,
            )

    async def are_told(self, *statuses: str) -> None:
        """All watchers have been told of one join of ada and then of these metas, each once, and of no more."""
        expected = [("join", "ada", "here"), *updates_of(*statuses)]
        for page in self.watchers:
            await page.until(lambda page=page: self._told(page)[len(expected) - 1 :], patience=BOUND)  # type: ignore[misc]
        await asyncio.sleep(2 * GRACE)  # time enough for a second one
        for page in self.watchers:
            assert self._told(page) == expected

    @staticmethod
    def _told(page: RoomPage) -> list[Update]:
        return [one for one in page.told("join", "leave", "update") if one[1] == "ada"]


async def test_the_meta_of_a_tab_goes_with_it(servers: Servers) -> None:
    here, there = servers
    async with Tabs(servers) as tabs:
        await tabs.open(here, "here")
        second = await tabs.open(there, "busy")
        third = await tabs.open(here, "typing")
        await tabs.are_told("busy", "typing")
        await tabs.close(second)
        await tabs.until_shown("typing", GRACE + BOUND)
        await tabs.are_told("busy", "typing")
        await tabs.close(third)
        await tabs.until_shown("here", GRACE + BOUND)
        await tabs.are_told("busy", "typing", "here")


async def test_a_meta_that_is_said_again_is_shown_again(servers: Servers) -> None:
    here, there = servers
    async with Tabs(servers) as tabs:
        first = await tabs.open(here, "here")
        second = await tabs.open(there, "away")
        for _ in range(2):
            await tabs.say(first, "busy")
            await tabs.say(second, "away")
        await tabs.say(first, "busy")
        await first.say("busy")  # which is shown already
        await tabs.are_told("away", "busy", "away", "busy", "away", "busy")
        assert first.told("update") == updates_of("away", "busy", "away", "busy", "away", "busy")
        await tabs.close(first)
        await tabs.until_shown("away", GRACE + BOUND)
        await tabs.are_told("away", "busy", "away", "busy", "away", "busy", "away")


async def test_metas_of_a_killed_process_go_with_its_lease(start_pair: StartPair) -> None:
    here, there = start_pair(settings=SITE["DJANGO_SETTINGS_MODULE"], GRACE=GRACE)
    async with Tabs((here, here)) as tabs:
        await tabs.open(here, "here")
        await tabs.open(here, "reading")
        killed = [await tabs.open(there, "typing"), await tabs.open(there, "writing")]
        await tabs.say(killed[0], "typing")
        there.kill()
        for tab in killed:
            await tabs.close(tab)
        await tabs.until_shown("reading", LEASE_TTL + LEASE_TTL / 6 + BOUND)
        await tabs.are_told("reading", "typing", "writing", "typing", "reading")
