"""Pointers that move, twenty times a second each, on pages that all draw them."""

from __future__ import annotations

import time

from ..drivers import Driver, NotAvailable
from ..drivers.cursors import CURSORS, Pointers
from .base import Case, Scenario, stage

__all__ = ["Cursors"]

RATE = 20.0


class Cursors(Scenario):
    name = "Pointers that move"

    def __init__(self, seconds: float = 5.0) -> None:
        self.seconds = seconds

    def cases(self, full: bool) -> list[Case]:
        sizes = (5, 20, 50, 100) if full else (5, 20, 50)
        return [Case(f"{size} movers", CURSORS, size, rounds=3 if full else 2) for size in sizes]

    def measure(self, case: Case, driver: Driver, store: str) -> dict[str, list[float]]:
        assert isinstance(driver, Pointers)
        with stage(driver, store) as on:
            on.crowd.open("movers", on.pages(case.size), at_once=1)
            time.sleep(1)
            used = on.cpu()
            moved = on.crowd.move("movers", driver.protocol, RATE, self.seconds)
            used = on.cpu() - used
        if moved["missing"]:
            raise NotAvailable(f"{moved['missing']:.0f} last positions were not seen 15 seconds later")
        return {
            "core": [100 * used / moved["taken"]],
            "p50": [1000 * moved["p50"]],
            "p99": [1000 * moved["p99"]],
            "rate": [moved["rate"]],
            "traffic": [moved["traffic"] / 1024],
        }
