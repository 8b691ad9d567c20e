"""Renderings over HTTP, and frames to and from clients."""

from __future__ import annotations

from typing import Any

from ... import presence as facade
from .base import HostSuite
from .page import HostPage

__all__ = ["ClientsContract"]

FORGED = {
    "id": "8",
    "user_id": "8",
    "user": "grace",
    "session_key": "x" * 32,
    "room": "milk",
    "key": "room:milk",
    "presence_key": "room:milk",
}


class ClientsContract(HostSuite):
    async def test_what_is_rendered_over_http_registers_nobody(self) -> None:
        self.needs("render")
        async with self.joined("ada") as page:
            await page.until_told("join", "ada")
            for browser in (await self.browser("grace"), await self.browser()):
                assert await self.render(browser, "tea")
            await page.settle()
            await page.until_present(("ada", 1))
            assert await facade.acount("room:tea") == 1
            assert page.changes == [("join", "ada")]

    async def test_no_session_key_is_sent_to_anybody(self) -> None:
        self.needs("session")
        visitor = await self.browser()
        html = "" if "render" in self.lacks else await self.render(visitor, "tea")
        async with self.page(visitor, "tea") as one:
            await one.until_told("join", "Guest")
            async with self.joined("ada") as two:
                await self.see_no_key_of(visitor, html, one, two)

    async def see_no_key_of(self, visitor: Any, html: str, *pages: HostPage) -> None:
        for page in pages:
            records = await page.until_present(("Guest", 1), ("ada", 1))
            await page.call("update_presence", color="red")
            await page.settle()
            assert self.session_key(visitor) not in f"{html} {page.received} {records} {page.told}"

    async def test_nothing_that_a_client_sends_says_who_or_where_it_is(self) -> None:
        ada = await self.browser("ada")
        async with self.page(ada, "tea") as honest:
            await honest.until_present(("ada", 1))
            for browser, expected in (
                (ada, [("ada", 2)]),
                (await self.browser(), [("ada", 1), ("Guest", 1)]),
            ):
                async with self.page(browser, "tea", params=FORGED) as page:
                    records = await honest.until_present(*expected)  # and so the store has taken the join
                    assert await page.until_present(*expected) == records
                    assert not {one["id"] for one in records} & {*FORGED.values()}
                    assert await facade.acount("room:milk") == 0
                await honest.until_present(("ada", 1))
