"""Bounds on the silence of polling pages: nobody present is reaped, and nobody who has gone is listed for long."""

from __future__ import annotations

import heapq
import itertools
from random import Random

import pytest

from djust_presence.feed.polls import Times
from djust_presence.presence.store import reap
from djust_presence.state.keeper import Timing
from djust_presence.state.records import Join
from tests.feed.polling import ClockedBackend, Page

LEASE_TTL = 30.0
TIMEOUT = LEASE_TTL / 12
RETRY = 10.0
MINUTE = 60.0


class World:
    """Processes and polling pages of one store, outages of any length and kind, and time as an argument."""

    def __init__(self, seed: int, times: Times, processes: int, pages: int) -> None:
        self.chance = Random(seed)
        self.times = times
        self.backend = ClockedBackend()
        self.start = self.backend.now
        self.queue: list[tuple[float, int, str]] = []
        self.numbers = itertools.count()
        self.pages = {
            f"page{n}": Page(self.backend, f"page{n}", {"room": "{}"}, times=times) for n in range(pages)
        }
        self.hides = {name: self.chance.random() < 0.5 for name in self.pages}
        self.hides["page0"] = False  # somebody looks
        self.processes = {f"process{n}": 0 for n in range(processes)}
        self.joined: set[str] = set()
        self.wrong: list[tuple[float, str]] = []
        self.reaps_at = 0.0
        self.outages = []
        begin = self.start + 200
        for _ in range(3):
            length = self.chance.choice([self.chance.uniform(0.5, 30), self.chance.uniform(15, 200)])
            kind = self.chance.choice(["refused", "silent", "lost"])
            self.outages.append((begin, begin + length, kind))
            begin += length + self.chance.uniform(200, 400)
        self.until = begin
        for name in [*self.pages, *self.processes]:
            self._later(name, self.chance.uniform(0, 20))

    @property
    def now(self) -> float:
        return self.backend.now

    def _later(self, name: str, delay: float) -> None:
        heapq.heappush(self.queue, (self.now + delay, next(self.numbers), name))

    def _fate(self) -> str:
        return next((kind for begin, end, kind in self.outages if begin <= self.now < end), "fine")

    def run(self) -> None:
        """Go on until all outages are over."""
        while self.queue[0][0] < self.until:
            self.backend.now, _, name = heapq.heappop(self.queue)
            step = self._poll if name in self.pages else self._renew
            step(name, self._fate())
            here = self.backend.snapshots(["room"])[0].members
            self.wrong += [(self.now, gone) for gone in self.joined - here.keys()]
            self.joined &= here.keys()

    def _poll(self, name: str, fate: str) -> None:
        page, hidden = self.pages[name], self.hides[name]
        # A visitor who moves on while the store is away for a moment is nowhere when it is back: others may see that.
        moment = any(
            begin - RETRY <= self.now < end for begin, end, _ in self.outages if end - begin <= LEASE_TTL
        )
        if fate == "fine" and not moment and not hidden and page.state and self.chance.random() < 0.1:
            page.bye()  # to the next page of the site, which polls soon
            page.restart()
            self._later(name, self.chance.uniform(0, 1))
            return
        if fate in ("fine", "lost"):
            reaps = self.now >= self.reaps_at + LEASE_TTL / 6
            if reaps:
                self.reaps_at = self.now
            before = page.id, page.state, dict(page.marks)
            page.poll(reaps=reaps)
            self.joined.add(name)
            if fate == "lost":
                page.id, page.state, page.marks = before
        if fate == "fine":
            pause = self.times.every(hidden, self.chance.random() < 0.5, self.chance.random())
        else:
            pause = (TIMEOUT if fate != "refused" else 0) + RETRY
        if hidden:
            # The browser wakes it on the minute. How long a request takes moves that by a moment.
            pause = MINUTE + self.chance.uniform(0, 0.5) if pause <= MINUTE else 2 * MINUTE
        self._later(name, pause)

    def _renew(self, name: str, fate: str) -> None:
        timing = Timing.of(LEASE_TTL)
        if fate in ("fine", "lost"):
            lease = f"{name}.{self.processes[name]}"
            if self.backend.renew(lease, 1, []).status != "ok":
                self.processes[name] += 1
                lease = f"{name}.{self.processes[name]}"
                self.backend.open(lease, timing.ttl, timing.unheard, timing.pause)
                self.backend.write(lease, [Join(1, "room", lease, name, "{}", lease, lease)])
                self.joined.add(name)
            elif fate == "fine":
                reap(self.backend, lease)
        self._later(
            name, timing.renew if fate == "fine" else TIMEOUT + timing.backoff * self.chance.uniform(0.5, 1)
        )


CROWDS = [(0, 2), (0, 6), (1, 6), (4, 6)]  # processes with sockets, polling pages


def wrong_in(times: Times, processes: int, pages: int, runs: int) -> list[tuple[int, float, str]]:
    """Return when and who was reaped though present, in the first of so many *runs* in which somebody was, with its seed."""
    for seed in range(runs):
        world = World(seed, times, processes, pages)
        world.run()
        if world.wrong:
            return [(seed, *wrong) for wrong in world.wrong]
    return []


@pytest.mark.parametrize(("processes", "pages"), CROWDS)
def test_no_outage_of_any_length_reaps_a_page_that_is_open(processes: int, pages: int) -> None:
    assert wrong_in(Times.of(LEASE_TTL), processes, pages, 40) == []


@pytest.mark.parametrize(
    "other",
    [
        {"ttl": 90.0},  # one lost poll of a hidden page, and it is gone
        {"unheard": 20.0},  # a hidden page does not have its turn after an outage
        {"pause": 66.0},  # a page that polls after an outage ends no silence, and processes are reaped
    ],
)
def test_other_times_would_reap_people(other: dict[str, float]) -> None:
    assert wrong_in(Times.of(LEASE_TTL)._replace(**other), 1, 6, 40)


@pytest.mark.parametrize("lease_ttl", [3.0, 6.0, 30.0, 60.0, 300.0])
def test_the_times_fit_each_other(lease_ttl: float) -> None:
    times = Times.of(lease_ttl)
    assert max(times.every(hidden=False, in_company=False, chance=n / 10) for n in range(11)) < times.pause
    assert times.every(hidden=True, in_company=True, chance=1.0) < MINUTE
    assert times.every(hidden=False, in_company=True, chance=0.5) <= 5
    assert times.unheard > MINUTE
    assert times.ttl >= 2 * MINUTE + times.pause


def test_visible_pages_poll_as_often_as_is_said() -> None:
    times = Times.of(LEASE_TTL)
    assert times.every(hidden=False, in_company=False, chance=0.5) == 13
    assert times.every(hidden=False, in_company=True, chance=0.5) == 5


def follow(backend: ClockedBackend, page: Page, until: float) -> float:
    """Let *page* alone poll, and reap, until it sees nobody else; return when that is."""
    while len(page.shown["room"]["members"]) > 1:
        assert backend.now < until
        in_company = page.marks["room"].in_company
        backend.now += page.times.every(hidden=False, in_company=in_company, chance=1.0)
        page.poll(reaps=True)
    return backend.now


@pytest.mark.parametrize("quiet", [False, True])
def test_a_visitor_who_says_goodbye_is_seen_to_leave_within_the_bound(quiet: bool) -> None:
    backend = ClockedBackend()
    stays, leaves = (Page(backend, user, {"room": f'{{"name":"{user}"}}'}) for user in ("ann", "bob"))
    for page in (leaves, stays):
        page.poll()
    if quiet:
        backend.now += 3600  # both were hidden, or the store was away
        leaves.poll()
    else:
        for _ in range(3):
            backend.now += 5
            leaves.poll()
    stays.poll()
    began = backend.now
    leaves.bye(grace=2)
    every = stays.times.every(hidden=False, in_company=True, chance=1.0)
    left = follow(backend, stays, began + 100) - began
    assert left <= 2 + every + (LEASE_TTL / 2 + every if quiet else 0)


@pytest.mark.parametrize("quiet", [False, True])
def test_a_page_that_crashes_is_seen_to_leave_within_the_bound(quiet: bool) -> None:
    backend = ClockedBackend()
    stays, dies = (Page(backend, user, {"room": f'{{"name":"{user}"}}'}) for user in ("ann", "bob"))
    for page in (dies, stays):
        page.poll()
    began = backend.now
    if quiet:
        backend.now += stays.times.ttl + 1
        stays.poll()
    every = stays.times.every(hidden=False, in_company=True, chance=1.0)
    left = follow(backend, stays, began + 1000) - began
    assert left <= stays.times.ttl + every + (stays.times.unheard + every if quiet else 0)


def test_a_page_that_crashes_keeps_nobody_else() -> None:
    """A process dies, and a page with it: the process is reaped as soon as if there were no pages."""
    backend = ClockedBackend()
    timing = Timing.of(LEASE_TTL)
    page = Page(backend, "ann", {"room": '{"name":"ann"}'})
    page.poll()
    Page(backend, "crashes", {"room": "{}"}).poll()
    for process in ("one", "two"):
        backend.open(process, timing.ttl, timing.unheard, timing.pause)
        backend.write(process, [Join(1, "room", process, process, "{}", process, process)])
    began = backend.now
    while "two" in backend.snapshots(["room"])[0].members:
        backend.now += timing.renew
        backend.renew("one", 1, [])
        reap(backend, "one")
    assert backend.now - began <= timing.ttl + 2 * timing.renew
