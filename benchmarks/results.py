"""Results: samples of what was measured, as JSON and as tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from tests.servers import ROOT

from .machine import facts

__all__ = ["FOLDER", "NO_ANSWER", "UNITS", "Result", "Results", "cell", "now", "number", "rows"]

FOLDER = ROOT / "benchmarks" / "results"

NO_ANSWER = -1.0  # stands for a time that it took, where it failed

# What each measure is called in a table; the samples are in these units.
UNITS = {
    "cpu": "CPU, ms",
    "last": "last page knows, ms",
    "frames": "frames",
    "bytes": "KiB sent",
    "memory": "KiB a page",
    "commands": "store commands",
    "p50": "p50, ms",
    "p99": "p99, ms",
    "core": "% of a core",
    "rate": "frames/s a page",
    "traffic": "KiB/s a page",
    "took": "took, ms",
    "join p50": "join, ms",
    "join p99": "p99",
    "write p50": "in the store, ms",
    "write p99": "p99",
    "leave p50": "leave, ms",
    "leave p99": "p99",
    "remove p50": "in the store, ms",
    "remove p99": "p99",
    "count p50": "count, ms",
    "count p99": "p99",
    "page p50": "100 of the list, ms",
    "page p99": "p99",
    "ping p50": "PING, ms",
    "ping p99": "p99",
    "store": "store, MiB",
}


@dataclass
class Result:
    """Samples of one driver in one case of a scenario; *note* says why there are none, or what to know of them."""

    scenario: str
    case: str
    driver: str
    store: str
    samples: dict[str, list[float]] = field(default_factory=dict)
    note: str = ""
    when: str = ""  # UTC

    def add(self, samples: dict[str, list[float]]) -> None:
        for name, values in samples.items():
            self.samples.setdefault(name, []).extend(round(value, 4) for value in values)


@dataclass
class Results:
    """All results of a run, and the machine that they are of."""

    results: list[Result]
    machine: dict[str, Any]
    when: str

    @classmethod
    def begin(cls) -> Results:
        return cls([], facts(), now())

    def keep(self, before: Results, scenarios: Iterable[str]) -> None:
        """Take over, of a run *before*, what this one does not measure: all but *scenarios*."""
        self.results = [one for one in before.results if one.scenario not in set(scenarios)] + self.results

    @classmethod
    def load(cls, path: Path) -> Results:
        found = json.loads(path.read_text())
        return cls([Result(**one) for one in found["results"]], found["machine"], found["when"])

    def save(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M")


def cell(values: list[float]) -> str:
    """The median of samples, and the quarters around it where there are enough and they differ."""
    if not values:
        return ""
    if NO_ANSWER in values:
        return "no answer"
    middle = median(values)
    if len(values) < 4:
        return number(middle)
    low, _, high = quantiles(values, n=4)
    return (
        number(middle)
        if number(low) == number(high)
        else f"{number(middle)} ({number(low)} to {number(high)})"
    )


def number(value: float) -> str:
    """A number with three digits that count."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def rows(results: Iterable[Result]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """The tables of results: scenario, heads and cells of each."""
    for scenario, group in groupby(results, lambda one: one.scenario):
        found = list(group)
        measures = [name for name in UNITS if any(name in one.samples for one in found)]
        cells = [
            [one.case, one.driver, one.store]
            + ([cell(one.samples.get(name, [])) for name in measures] if one.samples else [one.note])
            for one in found
        ]
        heads = [UNITS[name] for name in measures] or [""]
        yield scenario, ["", "", "store", *heads], cells
