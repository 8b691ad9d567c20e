"""The cost of rooms: frames that are made, and commands to the store."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pytest_django import Settings

from djust_presence.backends.memory import MemoryBackend
from djust_presence.backends.registry import get_backend
from djust_presence.keys import opaque_id
from djust_presence.state.records import Join, Leave
from tests.feed.pages import FeedPage, issue, opened
from tests.feed.test_rooms import of

pytestmark = pytest.mark.usefixtures("feed_site", "quiet_presence")


class Counting(MemoryBackend):
    """Counts the round trips that there would be."""

    calls: Counter[str] = Counter()

    async def awrite(self, lease: str, ops: Sequence[Join | Leave]) -> Any:
        self.calls["write"] += 1
        return await super().awrite(lease, ops)

    async def asnapshots(self, keys: Sequence[str]) -> Any:
        self.calls["snapshots"] += 1
        return await super().asnapshots(keys)

    async def acount(self, key: str) -> int:
        self.calls["count"] += 1
        return await super().acount(key)


@pytest.fixture
def calls(feed_site: Settings) -> Counter[str]:
    feed_site.DJUST_PRESENCE = {"BACKEND": "tests.feed.test_costs.Counting", "GRACE": 60}
    assert isinstance(get_backend(), Counting)
    Counting.calls = Counter()
    return Counting.calls


async def open_all(stack: AsyncExitStack, number: int, **options: Any) -> list[FeedPage]:
    return [await stack.enter_async_context(opened(**options)) for _ in range(number)]


async def test_from_page_to_page_within_grace_nothing_is_written(calls: Counter[str]) -> None:
    async with opened(of("grace")) as watcher:
        await watcher.join("site")
        for _ in range(2):
            async with opened(of("ada")) as ada:
                await ada.join("site")
                await ada.join("doc")
            await watcher.until_names("site", "ada", "grace")
        calls.clear()
        for _ in range(5):
            async with opened(of("ada")) as ada:
                await ada.join("site")
                await ada.join("doc")
                assert ada.counts == {"site": 2, "doc": 1}
        assert calls == {}
        assert len(watcher.of("diff")) == 1


async def test_idle_pages_ask_the_store_nothing(calls: Counter[str]) -> None:
    async with AsyncExitStack() as stack:
        pages = await open_all(stack, 20)
        for page in pages:
            await page.join("site")
        calls.clear()
        for page in pages:
            await page.say("ping")
            await page.until_frame("pong")
        await asyncio.sleep(0.3)
        assert calls == {}


async def test_a_group_is_read_once_for_all_its_pages(calls: Counter[str]) -> None:
    async with AsyncExitStack() as stack:
        pages = await open_all(stack, 20)
        for page in pages:
            await page.join(
                "site", issue("site", tracks=False), some=[opaque_id("site", str(n)) for n in range(300)]
            )
        assert calls == {"snapshots": 1}


async def test_a_change_is_encoded_once_for_all_pages_that_see_the_same(calls: Counter[str]) -> None:
    async with AsyncExitStack() as stack:
        pages = await open_all(stack, 30)
        for number, page in enumerate(pages):
            fields = ("mood",) if number % 3 == 0 else ()
            await page.join("site", issue("site", tracks=False, fields=fields))
        ada = await stack.enter_async_context(opened(of("ada")))
        await ada.join("site", issue("site", meta='{"mood":"fine"}'))
        for page in pages:
            await page.until_names("site", "ada")
        assert len({page.texts[-1] for page in pages}) == 2
        assert len({id(page.texts[-1]) for page in pages}) == 2  # the very same text, not an equal one
