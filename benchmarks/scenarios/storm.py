"""Many joins at once, as after a deploy: their cost, the time until all know of all, and the wait of other pages."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..drivers import Driver, NotAvailable
from ..drivers.ours import OURS
from ..drivers.peers import PEERS
from ..drivers.plain import PLAIN
from .base import SETTLE, Case, Scenario, Stage, stage

__all__ = ["Bystander", "Storm"]


def storm(on: Stage, size: int, begin: Callable[[], object] = lambda: None) -> float:
    """Let *size* pages come at once to one that is there; return the seconds until all knew of all.

    *begin* is called right before that, on a server that has settled.
    """
    pages = on.pages(size, first=1)
    on.crowd.open("there", on.pages(1))
    on.settle()
    begin()
    shows = on.driver.shows(str(size + 1))
    on.crowd.expect("there", pattern=shows)
    began = on.crowd.open("storm", pages, at_once=size, pattern=shows)
    known = on.crowd.until("there", "storm", patience=120)
    if known.missing:
        raise RuntimeError(f"{known.missing} pages did not come to show all.")
    return known.after(began)[-1]


class Storm(Scenario):
    name = "Many come at once"

    def cases(self, full: bool) -> list[Case]:
        drivers = [
            PLAIN["bare"],
            *(OURS[name] for name in ("counter", "feed", "consumer")),
            PLAIN["naive"],
            *PEERS.values(),
        ]
        return [
            Case(f"{size:,} pages", drivers, size, rounds=3 if full and size < 1000 else 1)
            for size in ((200, 2000) if full else (200,))
        ]

    def measure(self, case: Case, driver: Driver, store: str) -> dict[str, list[float]]:
        if driver.alone and case.size >= 1000:
            raise NotAvailable("not run: its pages are not told of each among thousands")
        with stage(driver, store) as on:
            used = on.cpu()
            took = storm(on, case.size)
            time.sleep(SETTLE)
            return {"cpu": [1000 * (on.cpu() - used)], "took": [1000 * took]}


class Bystander(Scenario):
    """A page of another group that is answered all the time."""

    name = "How long another page waits while many come at once"

    def cases(self, full: bool) -> list[Case]:
        drivers = [PLAIN["bare"], OURS["counter"], OURS["feed"], PLAIN["naive"], PEERS["djust"]]
        return [Case("200 pages", drivers, 200, stores=("memory",), rounds=3 if full else 2)]

    def measure(self, case: Case, driver: Driver, store: str) -> dict[str, list[float]]:
        text, answer = driver.probe()
        with stage(driver, store) as on:
            on.others.open("bystander", on.pages(1, group="elsewhere"))
            took = storm(on, case.size, lambda: on.others.probe("bystander", text, answer))
            time.sleep(SETTLE)
            delays = [1000 * one for one in on.others.probed()]
            return {
                "p50": [delays[len(delays) // 2]],
                "p99": [delays[len(delays) * 99 // 100]],
                "took": [1000 * took],
            }
