"""How long a polling page may go unheard: nobody who is here is buried, and nobody who has gone is kept for long."""

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
        if fate in ("fine", "lost"):
            reaps = self.now >= self.reaps_at + LEASE_TTL / 6
            if reaps:
                self.reaps_at = self.now
            before = page.id, page.standing, dict(page.marks)
            page.poll(reaps=reaps)
            self.joined.add(name)
            if fate == "lost":
                page.id, page.standing, page.marks = before
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


@pytest.mark.parametrize(("processes", "pages"), CROWDS)
def test_no_outage_of_any_length_buries_a_page_that_is_open(processes: int, pages: int) -> None:
    for seed in range(60):
        world = World(seed, Times.of(LEASE_TTL), processes, pages)
        world.run()
        assert not world.wrong, (seed, world.outages)
