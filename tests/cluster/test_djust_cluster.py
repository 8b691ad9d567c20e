"""People on two servers of djust's views see each other, and go on seeing each other when something breaks."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import AsyncExitStack
from typing import Any

import pytest
import websockets

from tests.cluster.conftest import LEASE_TTL, StartPair
from tests.live_pages import LivePage, Person
from tests.servers import RedisServer, SiteServer

Sites = tuple[SiteServer, SiteServer]

SOON = LEASE_TTL + LEASE_TTL / 6 + 5  # a crash is noticed after a lease and a renewal; the rest is patience


class DjustPage(LivePage):
    """An open page of a djust view: what it shows is asked for as a whole after every patch.

    djust keeps one for that, and loses it when it is rendered while it is asked: then it has to be rendered again.
    """

    async def _connect(self) -> None:
        view = re.search(r'dj-view="([\w.]+)"', self.html)
        assert view, self.html
        self._socket = await websockets.connect(
            self.site.url.replace("http", "ws", 1) + "/ws/live/",
            additional_headers={"Cookie": self.person.cookies},
            origin=websockets.Origin(self.site.url),
            compression=None,
        )
        await self.send(type="mount", view=view[1], url=self.path, params={}, has_prerendered=True)

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                frame: dict[str, Any] = json.loads(text)
                self.frames.append(frame)
                if "html" in frame:
                    self.regions["*"] = frame["html"]
                elif frame["type"] == "patch":
                    await self.send(type="request_html")
                elif frame["type"] == "error":
                    assert "Recovery HTML" in frame["error"], frame
                    await self.send(type="url_change", params={}, uri=self.path)
                self._changed.set()
        except websockets.ConnectionClosed:
            pass
        finally:
            self._changed.set()


@pytest.fixture
def sites(start_pair: StartPair, monkeypatch: pytest.MonkeyPatch) -> Sites:
    monkeypatch.setenv("DJUST", "1")
    sites = start_pair()
    for site in sites:
        site.allow(r"\bsetex\b")  # djust calls what redis-py has deprecated
    return sites


async def test_two_tabs_in_two_processes_are_one_user(sites: Sites) -> None:
    a, b = sites
    ada = Person(a, "ada")
    async with AsyncExitStack() as stack:
        watcher = await stack.enter_async_context(DjustPage(a, "/document/1/", Person(a, "grace")))
        await watcher.until(lambda: "grace joined" in watcher.flashes)
        first = await stack.enter_async_context(DjustPage(a, "/document/1/", ada))
        await watcher.until_online(2)
        async with DjustPage(b, "/document/1/", ada) as second:
            await second.until_online(2)
            await watcher.until(lambda: "2 tabs" in watcher.regions["*"])
        # The tab's grace, and then some: a leave would have come by now.
        async with DjustPage(b, "/document/1/", Person(b, "alan")) as alan:
            await watcher.until(lambda: "2 tabs" not in watcher.regions["*"])
            await alan.until_online(3)
            assert watcher.online == 3
        await watcher.until_online(2)
        assert watcher.flashes == ["grace joined", "ada joined", "alan joined", "alan left"]
        assert first.flashes == ["ada joined", "alan joined", "alan left"]


async def test_a_user_in_a_killed_process_is_gone_after_a_lease_and_a_renewal(sites: Sites) -> None:
    a, b = sites
    async with DjustPage(b, "/document/1/", Person(b, "grace")) as grace:
        async with DjustPage(a, "/document/1/", Person(a, "ada")) as ada:
            await grace.until_online(2)
            a.kill()
            await ada.until_closed()
            await grace.until(lambda: grace.online == 1, patience=SOON)
        await grace.until(lambda: grace.flashes[-1] == "ada left")
        assert grace.flashes == ["grace joined", "ada joined", "ada left"]


async def test_a_flushed_redis_makes_nobody_leave(sites: Sites, redis: RedisServer) -> None:
    a, b = sites
    async with (
        DjustPage(a, "/document/1/", Person(a, "ada")) as ada,
        DjustPage(b, "/document/1/", Person(b, "grace")) as grace,
    ):
        await ada.until_online(2)
        await grace.until_online(2)
        redis.command_line("FLUSHALL")
        await asyncio.sleep(LEASE_TTL + 2)
        assert (ada.online, grace.online) == (2, 2)
        assert not [flash for flash in ada.flashes + grace.flashes if "left" in flash]
        async with DjustPage(b, "/document/1/", Person(b, "alan")) as alan:
            await ada.until_online(3)
            await alan.until_online(3)
        await ada.until_online(2)
        await ada.until(lambda: ada.flashes[-2:] == ["alan joined", "alan left"])


async def test_a_visitor_who_comes_back_after_a_clean_stop_has_never_been_away(sites: Sites) -> None:
    a, b = sites
    person = Person(b, "ada")
    async with DjustPage(b, "/document/1/", Person(b, "grace")) as grace:
        async with DjustPage(a, "/document/1/", person) as ada:
            await grace.until_online(2)
            a.stop()
            await ada.until_closed()
        async with DjustPage(b, "/document/1/", person) as ada:
            await ada.until_online(2)
            await asyncio.sleep(LEASE_TTL)
            assert grace.flashes == ["grace joined", "ada joined"]
