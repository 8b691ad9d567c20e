"""One more comes while many watch: what that costs the server, and when the last page knows."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.monitor import OF_A_CONNECTION, Monitor

from ..capacity import CHECKED
from ..drivers import Driver
from ..drivers.ours import OURS
from ..drivers.peers import PEERS
from ..drivers.plain import PLAIN
from .base import SETTLE, Case, Scenario, fill, stage

__all__ = ["Join", "Listed", "Processes"]


class Join(Scenario):
    name = "One joins while many watch"
    sizes: tuple[int, ...] = (50, 200, 500, 1000, 5000)
    short: Sequence[tuple[int, tuple[str, ...]]] = ((200, ("memory", "redis")), (1000, ("memory",)))
    drivers: Sequence[Driver] = (
        PLAIN["bare"],
        *(OURS[name] for name in ("counter", "feed", "count", "consumer")),
        PLAIN["naive"],
        *PEERS.values(),
    )
    checked: Sequence[Driver] = (PLAIN["bare"], OURS["counter"], OURS["feed"], OURS["count"])

    def __init__(self, joins: int = 8) -> None:
        self.joins = joins

    def cases(self, full: bool) -> list[Case]:
        if full:
            return [
                Case(f"{size:,} pages", self.drivers, size, rounds=3 if size < 5000 else 1)
                for size in self.sizes
            ]
        cases = [Case(f"{size:,} pages", self.drivers, size, stores) for size, stores in self.short]
        return [*cases, *(Case(CHECKED, [driver], 500, ("memory",)) for driver in self.checked)]

    def measure(self, case: Case, driver: Driver, store: str) -> dict[str, list[float]]:
        samples: dict[str, list[float]] = {
            name: [] for name in ("cpu", "last", "frames", "bytes", "commands")
        }
        with stage(driver, store, case.processes) as on:
            filled = fill(on, case.size)
            samples["memory"] = [filled.memory]
            for number in range(self.joins):
                here = case.size + 1 + number
                joiner = on.pages(1, first=here)
                on.crowd.expect("crowd", pattern=driver.shows(str(filled.people + number + 1)))
                used = on.cpu()
                began = on.crowd.open(f"joiner {number}", joiner)
                known = on.crowd.until("crowd", patience=30)
                if known.missing:
                    raise RuntimeError(f"{known.missing} pages did not come to show one more.")
                time.sleep(SETTLE)
                samples["cpu"].append(1000 * (on.cpu() - used))
                samples["last"].append(1000 * known.after(began)[-1])
                sent = on.crowd.sent("crowd")
                samples["frames"].append(sent["frames"])
                samples["bytes"].append(sent["bytes"] / 1024)
            if on.store:
                joiner = on.pages(1, first=here + 1)
                with Monitor(on.store, OF_A_CONNECTION) as wire:
                    on.crowd.open("joiner on the wire", joiner)
                    time.sleep(SETTLE)
                    samples["commands"].append(wire.take().total())
        return samples


class Listed(Join):
    name = "One joins while many watch a list of all"
    sizes = (50, 200, 1000)
    short = ((200, ("memory",)),)
    drivers = (PLAIN["bare list"], OURS["list"], OURS["list of mine"])
    checked = ()


class Processes(Join):
    name = "One joins while 1,000 watch, on several processes"
    drivers = (OURS["counter"], OURS["feed"], PLAIN["naive"])

    def cases(self, full: bool) -> list[Case]:
        return [
            Case(f"{number} processes", self.drivers, 1000, stores=("redis",), processes=number)
            for number in ((2, 4) if full else (2,))
        ]
