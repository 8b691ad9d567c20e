"""Pages without sockets, at a WSGI server: what a poll costs."""

from __future__ import annotations

from tests.monitor import OF_A_CONNECTION, Monitor

from ..drivers import Driver
from ..drivers.ours import OURS
from .base import Case, Scenario, Stage, stage

__all__ = ["Polls"]


class Polls(Scenario):
    name = "A poll"

    def cases(self, full: bool) -> list[Case]:
        size = 1000 if full else 200
        kinds = ("nothing has happened", "somebody has come")
        return [Case(f"{size:,} pages, {kind}", [OURS["polling"]], size, stores=("redis",)) for kind in kinds]

    def measure(self, case: Case, driver: Driver, store: str) -> dict[str, list[float]]:
        with stage(driver, store) as on:
            on.crowd.open("crowd", on.pages(case.size))
            on.crowd.poll("crowd")  # each knows of all
            measured = [self._polls(on, case, number) for number in range(3)]
            assert on.store
            with Monitor(on.store, OF_A_CONNECTION) as wire:
                self._polls(on, case, 3)
                commands = wire.take().total() / case.size
        samples: dict[str, list[float]] = {"commands": [commands]}
        for one in measured:
            for name, value in one.items():
                samples.setdefault(name, []).append(value)
        return samples

    def _polls(self, on: Stage, case: Case, number: int) -> dict[str, float]:
        """Let all poll once, after somebody has come in a case where somebody has."""
        if "come" in case.name:
            on.crowd.open(f"joiner {number}", on.pages(1, first=case.size + number))
        on.crowd.expect("crowd", pattern=on.driver.shows())
        used = on.cpu()
        delays = sorted(1000 * one for one in on.crowd.poll("crowd"))
        return {
            "cpu": 1000 * (on.cpu() - used) / case.size,
            "bytes": on.crowd.sent("crowd")["bytes"] / 1024 / case.size,
            "p50": delays[len(delays) // 2],
            "p99": delays[len(delays) * 99 // 100],
        }
