"""The pace of refreshes: slow refreshes rest, and a view may ask for fewer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from djust_presence.tracker import Session
from djust_presence.tracker.group import RESTS
from tests.tracker.conftest import Pages, Process, StartProcess, settled
from tests.until import until

TOOK = 0.1  # seconds


class Slow(Pages):
    """A host whose refreshes take a while, all groups that are due together."""

    def __init__(self) -> None:
        super().__init__()
        self.began: dict[str, list[float]] = {}

    async def refresh(self, sessions: Sequence[Session]) -> None:
        for key in {session.key or "" for session in sessions}:
            self.began.setdefault(key, []).append(asyncio.get_running_loop().time())
        await super().refresh(sessions)
        await asyncio.sleep(TOOK)

    def pauses(self, key: str) -> list[float]:
        """The time between the beginnings of two refreshes of a group, in seconds."""
        began = self.began[key]
        return [later - earlier for earlier, later in pairwise(began)]


class Held(Pages):
    """A host whose refreshes end when they are *free* to."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.free.set()

    async def refresh(self, sessions: Sequence[Session]) -> None:
        await super().refresh(sessions)
        await self.free.wait()


def refreshed_since(pages: Pages, known: int) -> bool:
    return len(pages.hops) > known


def slow(process: Process) -> Slow:
    process.pages = pages = Slow()
    return pages


async def change(session: Session, times: int = 30, pause: float = 0.05) -> None:
    for number in range(times):
        session.track(session.key or "", "ada", f'{{"n":{number}}}')
        await asyncio.sleep(pause)


async def test_refreshes_take_half_of_the_time_at_most(start: StartProcess) -> None:
    a = start()
    pages = slow(a)
    watcher, ada = a.open(None), a.open("ada")
    await a.shows(watcher, 1)
    await change(ada)
    await until(lambda: not watcher.stale)
    assert len(pages.began["room"]) >= 3
    assert min(pages.pauses("room")[1:]) >= 0.9 * RESTS * TOOK
    assert watcher.members()["ada"].meta == '{"n":29}'


async def test_the_slow_pages_of_one_group_hold_up_no_other(start: StartProcess) -> None:
    a = start()
    a.pages = pages = Held()
    crowd = [a.open(None, "crowd") for _ in range(3)]
    ada = a.open("ada", "crowd")
    a.pages = quick = Pages()
    watcher, eve = a.open(None), a.open("eve")
    await a.shows(crowd[0], 1)
    await a.shows(watcher, 1)

    numbers = itertools.count()

    async def change_both(times: int) -> None:
        """Change both groups, and wait until the quick one has been refreshed."""
        for _ in range(times):
            known, meta = len(quick.hops), f'{{"n":{next(numbers)}}}'
            ada.track("crowd", "ada", meta)
            eve.track("room", "eve", meta)
            await until(partial(refreshed_since, quick, known))

    await until(lambda: settled([*crowd, ada]))
    before = len(pages.hops)
    pages.free.clear()
    await change_both(20)
    assert len(pages.hops) == before + 1, "one is under way"
    pages.free.set()
    await until(lambda: not any(session.refreshing for session in crowd))
    await change_both(2)
    assert len(pages.hops) == before + 1, "the crowd rests for as long again"
    await until(lambda: len(pages.hops) == before + 2)


async def test_a_view_may_be_refreshed_more_rarely_than_others(start: StartProcess) -> None:
    a = start()
    often, rarely = a.open(None), a.session()
    rarely.listen(False, 1.0)
    rarely.watch("room")
    rarely.live()
    ada = a.open("ada")
    await a.shows(rarely, 1)
    await a.is_told(rarely, "join ada")
    begun = asyncio.get_running_loop().time()
    before = {session: sum(session in hop for hop in a.pages.hops) for session in (often, rarely)}
    await change(ada)
    took = asyncio.get_running_loop().time() - begun
    times = {session: sum(session in hop for hop in a.pages.hops) - before[session] for session in before}
    assert 1 <= times[rarely] <= took + 1
    assert times[often] > 1.5 * times[rarely]
    await until(lambda: not rarely.stale)
    assert a.pages.told[rarely].count("update ada") == a.pages.told[often].count("update ada")
