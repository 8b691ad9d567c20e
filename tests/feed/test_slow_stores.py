"""The page's own reader is shown while the store has not answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from pytest_django import Settings

from djust_presence.backends.memory import MemoryBackend
from djust_presence.errors import PresenceUnavailable
from djust_presence.feed import group_rooms
from tests.feed.pages import opened
from tests.feed.test_rooms import of

pytestmark = pytest.mark.usefixtures("feed_site", "quiet_presence")


class Store(MemoryBackend):
    """A store that is slow, or takes no writes."""

    delay: ClassVar[float] = 0.0
    full: ClassVar[bool] = False

    async def awrite(self, lease: str, ops: Sequence[Any]) -> Any:
        await asyncio.sleep(self.delay)
        if self.full:
            raise PresenceUnavailable("It is full.")
        return await super().awrite(lease, ops)


@pytest.fixture
def store(feed_site: Settings, monkeypatch: pytest.MonkeyPatch) -> type[Store]:
    feed_site.DJUST_PRESENCE = {"BACKEND": f"{__name__}.Store", "GRACE": 0, "LEASE_TTL": 3}
    monkeypatch.setattr(Store, "delay", 0.0)
    monkeypatch.setattr(Store, "full", False)
    return Store


async def test_the_first_that_a_page_is_told_has_itself_in_it(store: type[Store]) -> None:
    async with opened(of("ada")) as ada, opened(of("grace")) as grace:
        await ada.join("site")
        store.delay = 0.3
        await grace.join("site")
        assert (grace.names("site"), grace.counts["site"]) == (["ada", "grace"], 2)
        assert [frame["type"] for frame in grace.frames] == ["ready", "joined", "state"]


async def test_a_page_counts_itself_while_the_store_takes_no_writes(
    store: type[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_rooms, "OWN_PRESENCE_WAIT", 0.2)
    async with opened(of("ada")) as ada, opened(of("grace")) as grace, opened(of("grace")) as counter:
        await ada.join("site")
        store.full = True
        await grace.join("site")
        await counter.join("site", count=True)
        assert (grace.names("site"), grace.counts["site"], counter.counts["site"]) == (["ada", "grace"], 2, 2)
        store.full = False
        await ada.until_names("site", "ada", "grace")
        await grace.until_frame("state")
        assert (grace.names("site"), grace.counts["site"]) == (["ada", "grace"], 2)
        assert {frame["count"] for frame in grace.of("state", "diff")} == {2}


async def test_a_page_that_goes_on_waiting_may_leave(
    store: type[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_rooms, "OWN_PRESENCE_WAIT", 0.2)
    async with opened(of("ada")) as ada, opened(of("grace")) as grace:
        await ada.join("site")
        store.full = True
        await grace.join("site", until="joined")
        await grace.say("leave", "site")
        await asyncio.sleep(0.5)
        store.full = False
        await grace.join("site")
        await ada.until_names("site", "ada", "grace")
