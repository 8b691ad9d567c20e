"""The capacity of a process: a join's cost as a straight line over the pages that show it, checked at another size."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import NamedTuple

from .results import Result, number

__all__ = ["CHECKED", "HEADS", "SCENARIO", "Line", "cells"]

SCENARIO = "One joins while many watch"
CHECKED = "500 pages"  # not among those that the line is drawn through
HALF_A_CORE = 500.0  # ms of each second
HEADS = (
    "",
    "a join, ms",
    "each page that shows it, ms",
    f"{CHECKED}: by the line, ms",
    "measured, ms",
    "pages at a join a second",
    "KiB a page",
)


class Line(NamedTuple):
    """The CPU of a join, in ms: *join*, and *page* for each page that shows it."""

    join: float
    page: float

    @classmethod
    def through(cls, points: dict[int, float]) -> Line:
        """Return the line through the smallest and the largest of *points* (pages → ms)."""
        low, high = min(points), max(points)
        page = (points[high] - points[low]) / (high - low)
        return cls(points[low] - page * low, page)

    def at(self, pages: int) -> float:
        return self.join + self.page * pages

    def pages(self, joins: float) -> float:
        """Return how many pages half a core holds, if so many people *join* their group in a second."""
        return (HALF_A_CORE / joins - self.join) / self.page


def cells(results: Iterable[Result]) -> list[list[str]]:
    """Return a row for each driver that was measured at several sizes and at the one to check, in one process's memory."""
    drivers: dict[str, dict[str, Result]] = {}
    for one in results:
        if one.scenario == SCENARIO and one.store == "memory" and one.samples.get("cpu"):
            drivers.setdefault(one.driver, {})[one.case] = one
    found = []
    for name, cases in drivers.items():
        medians = {case: median(one.samples["cpu"]) for case, one in cases.items()}
        checked = medians.pop(CHECKED, None)
        if checked is None or len(medians) < 2:
            continue
        line = Line.through({int(case.split()[0].replace(",", "")): cpu for case, cpu in medians.items()})
        memory = median(cases[CHECKED].samples["memory"])
        ms = [line.join, line.page, line.at(int(CHECKED.split()[0])), checked]
        found.append([name, *map(number, ms), f"{round(line.pages(1), -2):,.0f}", number(memory)])
    return found
