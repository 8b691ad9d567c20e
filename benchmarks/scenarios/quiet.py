"""Pages that have nothing to do with what happens, or to which nothing happens."""

from __future__ import annotations

import time

from tests.monitor import OF_A_CONNECTION, Monitor

from ..drivers import Driver, NotAvailable
from ..drivers.ours import OURS
from ..drivers.peers import PEERS
from ..drivers.plain import PLAIN
from ..machine import raise_limit
from .base import SETTLE, Case, Scenario, fill, stage

__all__ = ["CrossTalk", "Idle", "Navigation"]

HEARTBEAT = 30  # seconds after which every page has been asked for a sign of life
SPARE = 200  # files that a process has open besides
TOGETHER = 100  # idle pages in a group


class CrossTalk(Scenario):
    name = "One joins while many watch another group"
    joins = 8

    def cases(self, full: bool) -> list[Case]:
        drivers = [
            PLAIN["bare"],
            OURS["counter"],
            OURS["feed"],
            PLAIN["naive"],
            PEERS["djust"],
            PEERS["under djust"],
        ]
        return [
            Case(f"{size:,} pages elsewhere", drivers, size, stores=("memory",))
            for size in ((0, 200, 1000) if full else (0, 200))
        ]

    def measure(self, case: Case, driver: Driver, store: str) -> dict[str, list[float]]:
        samples: dict[str, list[float]] = {"cpu": [], "frames": []}
        with stage(driver, store) as on:
            on.crowd.open("elsewhere", on.pages(case.size, group="elsewhere"))
            fill(on, 1)
            for number in range(self.joins):
                joiner = on.pages(1, first=case.size + 2 + number)
                on.crowd.expect("elsewhere", pattern="online")
                used = on.cpu()
                on.crowd.open(f"joiner {number}", joiner)
                time.sleep(2 * SETTLE)
                samples["cpu"].append(1000 * (on.cpu() - used))
                samples["frames"].append(on.crowd.sent("elsewhere")["frames"])
        return samples


class Idle(Scenario):
    """In groups of a hundred, so that opening them takes no hours."""

    name = "Nothing happens"

    def cases(self, full: bool) -> list[Case]:
        drivers = [PLAIN["bare"], *(OURS[name] for name in ("counter", "feed", "consumer")), PLAIN["naive"]]
        return [Case(f"{size:,} pages", drivers, size) for size in ((10_000,) if full else (1000,))]

    def measure(self, case: Case, driver: Driver, store: str) -> dict[str, list[float]]:
        if (files := raise_limit(0)) < case.size + SPARE:
            raise NotAvailable(f"a process here may open {files:,} files (ulimit -n)")
        with stage(driver, store) as on:
            on.crowd.open("first", on.pages(1, group="first"))
            before = on.resident()
            for first in range(0, case.size, TOGETHER):
                group = f"group-{first // TOGETHER}"
                on.crowd.open(group, on.pages(min(TOGETHER, case.size - first), first=first, group=group))
            on.settle()
            memory = (on.resident() - before) / case.size
            if on.store:
                with Monitor(on.store, OF_A_CONNECTION) as wire:
                    used = on.cpu()
                    time.sleep(HEARTBEAT)
                    used = on.cpu() - used
                    sent = [float(wire.take().total())]
            else:
                used = on.cpu()
                time.sleep(HEARTBEAT)
                used, sent = on.cpu() - used, []
            return {"core": [100 * used / HEARTBEAT], "memory": [memory], "commands": sent}


class Navigation(Scenario):
    """Somebody goes on to another page of the site: one socket closes, and another opens for the same visitor."""

    name = "Somebody goes from page to page while 200 watch"
    pages = 8

    def cases(self, full: bool) -> list[Case]:
        drivers = [OURS["counter"], OURS["feed"], PLAIN["naive"], PEERS["djust"], PEERS["under djust"]]
        return [Case("a page", drivers, 200)]

    def measure(self, case: Case, driver: Driver, store: str) -> dict[str, list[float]]:
        samples: dict[str, list[float]] = {"cpu": [], "frames": [], "commands": []}
        with stage(driver, store) as on:
            fill(on, case.size)
            (server,) = on.servers
            session = driver.session(server)
            on.crowd.open("0", [driver.tab(server, "crowd", session)])
            on.settle()
            for number in range(self.pages):
                page = driver.tab(server, "crowd", session)
                on.crowd.expect("crowd", pattern="online")
                used = on.cpu()
                on.crowd.close(str(number))
                on.crowd.open(str(number + 1), [page])
                time.sleep(2 * SETTLE)
                samples["cpu"].append(1000 * (on.cpu() - used))
                samples["frames"].append(on.crowd.sent("crowd")["frames"])
            if on.store:
                page = driver.tab(server, "crowd", session)
                with Monitor(on.store, OF_A_CONNECTION) as wire:
                    on.crowd.close(str(self.pages))
                    on.crowd.open("last", [page])
                    time.sleep(2 * SETTLE)
                    samples["commands"].append(wire.take().total())
        return samples
