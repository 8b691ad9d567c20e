"""One more comes while many watch: what that costs the server, and when the last page knows."""

from __future__ import annotations

import time

from ..drivers import Driver
from ..drivers.ours import OURS
from ..drivers.peers import PEERS
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
            *PEERS.values(),
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
                joiner = on.pages(1, first=here)
                on.crowd.expect("crowd", pattern=driver.shows(str(here + 1)))
                used = on.cpu()
                began = on.crowd.open(f"joiner {number}", joiner)
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
                joiner = on.pages(1, first=here + 1)
                with Wire(on.store) as wire:
                    on.crowd.open("joiner on the wire", joiner)
                    time.sleep(SETTLE)
                    samples["commands"].append(wire.take().total())
        return samples
