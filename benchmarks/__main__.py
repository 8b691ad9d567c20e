"""Measures, prints tables, and writes ``benchmarks/results/``: ``python -m benchmarks``, or ``make bench``."""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from . import page
from .drivers import NotAvailable
from .machine import end_politely, raise_limit
from .results import FOLDER, Result, Results, rows
from .scenarios import MAIN, SCENARIOS, Case, Scenario

FILES = 30_000  # as many as the largest scenario has open


def run(scenario: Scenario, case: Case) -> list[Result]:
    """Let the drivers of a case take turns, and return what was measured of each on each store."""
    entries = [
        (driver, scenario.begin(case, driver, store))
        for driver in case.drivers
        for store in case.stores
        if store in driver.stores
    ]
    for turn in range(case.rounds):
        for driver, result in entries:
            if result.note:
                continue
            began = time.monotonic()
            try:
                if case.size > driver.largest:
                    raise NotAvailable(f"not run: a join takes too long above {driver.largest:,} pages")
                result.add(scenario.measure(case, driver, result.store))
            except NotAvailable as reason:
                result.note = str(reason)
            except (ConnectionError, RuntimeError, subprocess.SubprocessError) as error:
                result.note = f"failed: {str(error).splitlines()[0]}"
                print(error, file=sys.stderr)
            print(
                f"  {case.name}, {driver.name}, {result.store}, turn {turn + 1} of {case.rounds}: "
                f"{result.note or f'{time.monotonic() - began:.0f} s'}",
                file=sys.stderr,
                flush=True,
            )
    return [result for _, result in entries]


def show(results: Iterable[Result]) -> None:
    """Print tables with aligned columns."""
    for scenario, heads, cells in rows(results):
        table = [heads, *cells]
        widths = [max(len(row[n]) for row in table if n < len(heads) and n < len(row)) for n in range(3)]
        widths += [max(len(row[n]) for row in table if len(row) == len(heads)) for n in range(3, len(heads))]
        print(f"\n{scenario}")
        for row in table:
            print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=False)).rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="all sizes, more turns: hours")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SCENARIOS,
        metavar="SCENARIO",
        help=f"some of {', '.join(SCENARIOS)}; the file keeps the others",
    )
    parser.add_argument("--match", nargs="+", default=[""], help="only drivers whose name has one of these")
    parser.add_argument("--results", type=Path, help="the file to write (default: by the kind of run)")
    options = parser.parse_args()
    end_politely()
    raise_limit(FILES)
    results = Results.begin()
    names = options.only or (SCENARIOS if options.full else MAIN)
    file = options.results or FOLDER / ("full.json" if options.full else "short.json")
    if options.only and file.exists():
        results.keep(Results.load(file), [SCENARIOS[name].name for name in names])
    order = [scenario.name for scenario in SCENARIOS.values()]
    for name in names:
        scenario = SCENARIOS[name]
        print(scenario.name, file=sys.stderr)
        found: list[Result] = []
        for case in scenario.cases(options.full):
            drivers = [one for one in case.drivers if any(text in one.name for text in options.match)]
            found += run(scenario, dataclasses.replace(case, drivers=drivers))
        show(found)
        results.results = sorted([*results.results, *found], key=lambda one: order.index(one.scenario))
        results.save(file)
    if not options.results:
        page.write()


if __name__ == "__main__":
    main()
