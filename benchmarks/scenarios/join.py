"""One more comes while many watch: what that costs the server, and when the last page knows."""

from __future__ import annotations

import time

from ..drivers import Driver
from ..drivers.ours import OURS
from ..drivers.plain import PLAIN
from ..wire import Wire
from .base import SETTLE, Case, Scenario, fill, stage

__all__ = ["Join"]


class Join(Scenario):
    name = "One joins while many watch"

    def __init__(self, joins: int = 8) -> None:
        self.joins = joins

    def cases(self, full: bool) -> list[Case]:
        drivers = [
            PLAIN["bare"],
            *(OURS[name] for name in ("counter", "feed", "count", "consumer")),
            PLAIN["naive"],
        ]
        sizes = (50, 200, 1000, 5000) if full else (200, 1000)
        return [
            Case(f"{size:,} pages", drivers, size, rounds=3 if full and size < 5000 else 2) for size in sizes
        ]

    def measure(self, case: Case, driver: Driver, store: str) -> dict[str, list[float]]:
        samples: dict[str, list[float]] = {
            name: [] for name in ("cpu", "last", "frames", "bytes", "commands")
        }
        with stage(driver, store, case.processes) as on:
            samples["memory"] = [fill(on, case.size)]
            for number in range(self.joins):
                here = case.size + 1 + number
                on.crowd.expect("crowd", pattern=driver.knows(here + 1))
                used = on.cpu()
                began = on.open(f"joiner {number}", 1, first=here)
                known = on.crowd.until("crowd")
                if known.missing:
                    raise RuntimeError(f"{known.missing} pages did not hear of a join.")
                time.sleep(SETTLE)
                samples["cpu"].append(1000 * (on.cpu() - used))
                samples["last"].append(1000 * known.after(began)[-1])
                sent = on.crowd.sent("crowd")
                samples["frames"].append(sent["frames"])
                samples["bytes"].append(sent["bytes"] / 1024)
            if on.store:
                with Wire(on.store) as wire:
                    on.open("joiner on the wire", 1, first=here + 1)
                    time.sleep(SETTLE)
                    samples["commands"].append(wire.take().total())
        return samples
