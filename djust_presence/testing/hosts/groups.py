"""The members of a page's group, and their count."""

from __future__ import annotations

from ... import presence as facade
from .base import HostSuite

__all__ = ["GroupsContract"]


class GroupsContract(HostSuite):
    # Seeing each other

    async def test_two_pages_see_each_other(self) -> None:
        async with (
            self.joined("ada") as one,
            self.joined("grace") as two,
        ):
            for page in (one, two):
                ada, grace = await page.until_present(("ada", 1), ("grace", 1))
                assert (ada["color"], ada["meta"]["color"]) == ("teal", "teal")
                assert ada["id"] == str(ada["user_id"]) != grace["id"]
                assert ada["joined_at"] < grace["joined_at"]

    async def test_the_number_that_a_page_shows_follows(self) -> None:
        self.needs("online")
        async with self.joined("ada") as one:
            await one.until_online(1)
            async with self.joined("grace") as two:
                await one.until_online(2)
                await two.until_online(2)
            await one.until_online(1)

    async def test_the_group_is_that_of_the_url(self) -> None:
        async with (
            self.joined("ada") as one,
            self.joined("grace", "milk") as two,
        ):
            await one.until_told("join", "ada")
            await two.until_told("join", "grace")
            assert [one["name"] for one in await facade.alist("room:tea")] == ["ada"]
            assert [one["name"] for one in await facade.alist("room:milk")] == ["grace"]
            await one.until_present(("ada", 1))
            await two.until_present(("grace", 1))
            assert one.changes == [("join", "ada")]
            assert two.changes == [("join", "grace")]

    async def test_watching_is_seeing_without_being_counted(self) -> None:
        async with (
            self.page(await self.browser("ada"), "tea", "watcher") as watcher,
            self.joined("grace") as page,
        ):
            await watcher.until_told("join", "grace")
            for one in (watcher, page):
                await one.until_present(("grace", 1))
            assert watcher.changes == page.changes == [("join", "grace")]

    # Tabs and visitors

    async def test_two_tabs_of_a_user_count_once_and_closing_one_leaves_nobody(self) -> None:
        ada = await self.browser("ada")
        async with self.joined("grace") as other, self.page(ada, "tea") as first:
            async with self.page(ada, "tea") as second:
                for page in (other, first, second):
                    await page.until_present(("grace", 1), ("ada", 2))
            await first.until_present(("grace", 1), ("ada", 1))
            await other.until_present(("grace", 1), ("ada", 1))
            await other.settle()
            assert other.changes == [("join", "grace"), ("join", "ada")]

    async def test_the_tabs_of_a_visitor_count_once(self) -> None:
        self.needs("session")
        visitor = await self.browser()
        async with self.page(visitor, "tea") as first:
            await first.until_present(("Guest", 1))
            async with self.page(visitor, "tea") as second, self.page(await self.browser(), "tea") as other:
                for page in (first, second, other):
                    records = await page.until_present(("Guest", 2), ("Guest", 1))
                    assert len({one["id"] for one in records}) == 2
                    assert not any("user_id" in one for one in records)

    async def test_the_tabs_of_a_visitor_count_singly_where_the_page_says_so(self) -> None:
        self.needs("each-tab")
        visitor = await self.browser()
        async with self.page(visitor, "tea", "each-tab") as first:
            await first.until_present(("Guest", 1))
            async with self.page(visitor, "tea", "each-tab"):
                await first.until_present(("Guest", 1), ("Guest", 1))
            await first.until_present(("Guest", 1))
