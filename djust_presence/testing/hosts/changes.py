"""News for pages: joins, leaves, updates and broadcasts."""

from __future__ import annotations

import asyncio
import time

from .base import EARLY, GRACE, LOST_GRACE, HostSuite

__all__ = ["ChangesContract"]


class ChangesContract(HostSuite):
    # Joins, updates, leaves

    async def test_callbacks_run_on_every_page_once_and_in_order(self) -> None:
        ada = await self.browser("ada")
        async with (
            self.page(ada, "tea") as one,
            self.page(ada, "tea") as tab,
            self.page(await self.browser(), "tea", "watcher") as watcher,
        ):
            await one.until_told("join", "ada")  # otherwise the other page may get it too
            async with self.joined("grace") as page:
                await page.until_told("join", "grace")
                await page.call("update_presence", color="red")
                await page.until_told("update", "grace")
                assert page.changes == [("join", "grace"), ("update", "grace")]
            for other in (one, tab, watcher):
                await other.until_told("leave", "grace")
                await other.settle()
                changes = [change for change in other.changes if change[1] == "grace"]
                assert changes == [("join", "grace"), ("update", "grace"), ("leave", "grace")]
                assert [rest[0]["color"] for kind, *rest in other.told if kind == "update"] == ["red"]
            assert one.changes.count(("join", "ada")) == 1

    async def test_updating_merges_and_none_deletes(self) -> None:
        async with (
            self.joined("ada") as one,
            self.joined("grace") as two,
        ):
            await one.call("update_presence", color="red", status="away")
            await two.until_told("update", "ada")
            for page in (one, two):
                record, _ = await page.until_present(("ada", 1), ("grace", 1))
                assert (record["color"], record["status"]) == ("red", "away")
            await one.call("update_presence", status=None)
            await two.until_told("update", "ada", 2)
            record, _ = await two.until_present(("ada", 1), ("grace", 1))
            assert record["color"] == "red"
            assert "status" not in record

    async def test_tracking_twice_is_one_presence_with_the_last_meta(self) -> None:
        async with (
            self.joined("ada") as one,
            self.joined("grace") as two,
        ):
            await two.until_told("join", "grace")
            await one.call("track_presence", {"color": "red"})
            await two.until_told("update", "ada")
            record, _ = await two.until_present(("ada", 1), ("grace", 1))
            assert record["color"] == "red"
            assert two.changes == [("join", "grace"), ("update", "ada")]

    async def test_untracking_leaves_at_once_and_goes_on_watching(self) -> None:
        async with (
            self.joined("ada") as one,
            self.joined("grace") as two,
        ):
            await one.until_told("join", "grace")
            began = time.monotonic()
            await two.call("untrack_presence")
            await two.until_present(("ada", 1))
            for page in (one, two):
                await page.until_told("leave", "grace")
            assert time.monotonic() - began < GRACE
            await two.call("track_presence", {"color": "red"})
            for page in (one, two):
                await page.until_told("join", "grace", 2)
                await page.until_present(("ada", 1), ("grace", 1))
            assert one.changes[1:] == [("join", "grace"), ("leave", "grace"), ("join", "grace")]

    # The end of a page

    async def test_a_reload_within_the_grace_is_no_leave_and_no_join(self) -> None:
        ada = await self.browser("ada")
        async with self.joined("grace") as other:
            async with self.page(ada, "tea") as before:
                await other.until_told("join", "ada")
                await before.until_told("join", "ada")
            async with self.page(ada, "tea") as after:
                await asyncio.sleep(GRACE + EARLY)  # after which the former page would have left
                await after.until_present(("grace", 1), ("ada", 1))
                await after.settle()
                await other.settle()
                assert after.changes == []
                assert other.changes == [("join", "grace"), ("join", "ada")]

    async def test_a_page_that_is_closed_for_good_leaves_after_the_grace(self) -> None:
        assert await self.seconds_until_it_leaves(lost=False) > GRACE - EARLY

    async def test_a_page_whose_connection_breaks_leaves_after_its_longer_grace(self) -> None:
        assert await self.seconds_until_it_leaves(lost=True) > LOST_GRACE - EARLY

    async def seconds_until_it_leaves(self, lost: bool) -> float:
        async with (
            self.joined("grace") as other,
            self.joined("ada") as page,
        ):
            await other.until_told("join", "ada")
            began = time.monotonic()
            await page.close(lost=lost)
            await other.until_present(("grace", 1), ("ada", 1))
            await other.until_told("leave", "ada")
            seconds = time.monotonic() - began
            await other.until_present(("grace", 1))
            return seconds

    # Broadcasts

    async def test_a_broadcast_reaches_all_pages_of_the_group_and_no_other(self) -> None:
        ada = await self.browser("ada")
        async with (
            self.page(ada, "tea") as one,
            self.page(await self.browser("grace"), "tea", "watcher") as two,
            self.page(ada, "milk") as other,
        ):
            await one.call("broadcast_to_presence", "wave", {"hand": "left"})
            for page in (one, two):
                await page.until_event("wave", {"hand": "left"})
                await page.settle()
                assert page.events == [("wave", {"hand": "left"})]
            await other.settle()
            assert other.events == []
