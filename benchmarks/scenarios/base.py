"""A scenario: the cases in which drivers are put beside each other, and what one turn of one of them measures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.servers import RedisServer, find_valkey_server

from ..crowd import Crowd
from ..drivers import Driver
from ..drivers.base import EMPTY, Application
from ..machine import cpu, resident
from ..pages import Page
from ..results import Result, now

__all__ = ["Case", "Filled", "Scenario", "Stage", "fill", "stage"]

SETTLE = 0.2  # seconds after which everything that a change causes has been done
PATIENCE = 120.0  # seconds for which a server may be busy with a crowd that has come


@dataclass(frozen=True)
class Case:
    """One comparison: *drivers* take turns, each on all of *stores* that it has, with *size* pages."""

    name: str
    drivers: Sequence[Driver]
    size: int
    stores: tuple[str, ...] = ("memory", "redis")
    processes: int = 1
    rounds: int = 1


class Scenario:
    """Subclasses name themselves, list their cases and measure."""

    name: str

    def cases(self, full: bool) -> list[Case]:
        """The cases of a short or of a full run."""
        raise NotImplementedError

    def measure(self, case: Case, driver: Driver, store: str) -> dict[str, list[float]]:
        """Samples by the names of `results.UNITS`, of one turn. Raises `NotAvailable`."""
        raise NotImplementedError

    def begin(self, case: Case, driver: Driver, store: str) -> Result:
        return Result(self.name, case.name, driver.name, store, when=now())


@dataclass
class Stage:
    """The parts of a turn: the servers, their store and load clients."""

    driver: Driver
    servers: list[Application]
    store: RedisServer | None
    crowd: Crowd
    others: Crowd

    def cpu(self) -> float:
        """The seconds of processors that the servers, without the store, have taken so far."""
        return cpu(self.servers)

    def resident(self) -> int:
        """Their memory in KiB."""
        return resident(self.servers)

    def pages(self, count: int, first: int = 0, group: str = "crowd") -> list[Page]:
        """Pages by turns on each server, for visitors that are numbered from *first* on."""
        return [
            self.driver.page(self.servers[number % len(self.servers)], group, number)
            for number in range(first, first + count)
        ]

    def tabs(self, count: int) -> list[Page]:
        """Pages of one visitor, by turns on each server."""
        session = self.driver.session(self.servers[0])
        return [
            self.driver.tab(self.servers[number % len(self.servers)], "crowd", session)
            for number in range(count)
        ]

    def settle(self) -> None:
        """Wait until the servers have nothing to do."""
        before = self.cpu()
        for _ in range(int(PATIENCE / SETTLE)):
            time.sleep(SETTLE)
            now = self.cpu()
            if now - before < SETTLE / 20:
                return
            before = now


@contextmanager
def stage(
    driver: Driver, store: str, processes: int = 1, variables: Mapping[str, str] = EMPTY
) -> Iterator[Stage]:
    """Start servers and load clients, and end them."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(find_valkey_server())) if store == "redis" else None
        folder = stack.enter_context(TemporaryDirectory())
        shared = {"DB": f"{folder}/db.sqlite3", **variables}
        servers = [stack.enter_context(driver.server(redis, shared)) for _ in range(processes)]
        for server in servers:
            server.must_end = False  # a bare loop tells each of 5,000 pages of the end of each other one
        crowd, others = stack.enter_context(Crowd()), stack.enter_context(Crowd())
        yield Stage(driver, servers, redis, crowd, others)


class Filled(NamedTuple):
    """A group with a crowd: the KiB that the servers take for each page, and the number of people that pages show."""

    memory: float
    people: int


def fill(on: Stage, count: int) -> Filled:
    """Open *count* pages of a group, and one before them, which brings what all pages share."""
    pages = on.tabs(count + 1) if on.driver.alone else on.pages(count + 1)
    on.crowd.open("first", pages[:1])
    before = on.resident()
    on.crowd.open("crowd", pages[1:])
    on.settle()
    return Filled((on.resident() - before) / count, 1 if on.driver.alone else count + 1)
