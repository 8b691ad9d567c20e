"""The hops of one refresh: that all pages of all of them are done with, whatever happens to one."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from djust_presence.live import LiveView
from djust_presence.live.code import Update
from djust_presence.live.hops import Hop, Hops


class Code:
    def __init__(self, wait: threading.Event | None, error: Exception | None) -> None:
        self.wait, self.error = wait, error

    def update_among(self, *args: Any) -> Update:
        if self.wait:
            self.wait.wait(10)
        if self.error:
            raise self.error
        return Update(pushed=["done"])


class Page:
    """As much of a live page as its refresh needs."""

    def __init__(self, wait: threading.Event | None = None, error: Exception | None = None) -> None:
        self.view, self.surroundings = LiveView(), None
        self.code = Code(wait, error)
        self.ended: list[Any] = []

    def end_refresh(self, update: Update) -> None:
        self.ended.append(list(update.pushed))


def hop(*pages: Any) -> Hop:
    return Hop([(page, []) for page in pages])


async def test_all_hops_are_run_and_each_page_is_ended_once() -> None:
    hops, pages = Hops(), [Page() for _ in range(9)]
    await asyncio.gather(*(hops.run(hop(*pages[n : n + 3])) for n in (0, 3, 6)))
    assert [page.ended for page in pages] == [[["done"]]] * 9


async def test_an_error_costs_its_own_hop(caplog: pytest.LogCaptureFixture) -> None:
    hops, broken, other = Hops(), Page(error=RuntimeError("broken")), Page()
    await asyncio.gather(hops.run(hop(broken)), hops.run(hop(other)))
    assert (broken.ended, other.ended) == ([[]], [["done"]])
    assert "1 live views could not be refreshed" in caplog.text


@pytest.mark.parametrize("cancelled", [0, 1])
async def test_no_page_stays_busy_when_a_task_is_cancelled(cancelled: int) -> None:
    wait = threading.Event()
    hops, first, second = Hops(), Page(wait), Page()
    tasks = [asyncio.create_task(hops.run(hop(page))) for page in (first, second)]
    await asyncio.sleep(0.05)
    tasks[cancelled].cancel()
    await asyncio.sleep(0)
    wait.set()
    await asyncio.wait(tasks, timeout=10)
    assert [task.done() for task in tasks] == [True, True]
    assert [len(page.ended) for page in (first, second)] == [1, 1]
