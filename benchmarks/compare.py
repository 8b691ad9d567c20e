"""Behaviour of this package and others when something goes wrong, each cell from a run: ``make compare``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from . import page
from .behaviours import BEHAVIOURS, behave
from .drivers import Driver, NotAvailable
from .drivers.ours import OURS
from .drivers.peers import PEERS
from .drivers.plain import PLAIN
from .machine import end_politely
from .results import FOLDER, Result, Results

__all__ = ["COMPARED", "NAME", "run"]

NAME = "When something goes wrong"
COMPARED = [
    OURS["counter"],
    OURS["feed"],
    PEERS["under djust"],
    PEERS["djust"],
    PEERS["wireview"],
    PEERS["more than present"],
    PLAIN["naive"],
]
AT_ONCE = 4  # most of the time they wait


def cell(driver: Driver, name: str) -> Result:
    try:
        right, seen = behave(driver, BEHAVIOURS[name])
        note = f"{'✓' if right else '✗'} {seen}"
    except NotAvailable as reason:
        note = f"— {reason}"
    except (ConnectionError, RuntimeError) as error:
        note = f"✗ failed: {str(error).splitlines()[0]}"
    print(f"  {name}, {driver.name}: {note}", file=sys.stderr, flush=True)
    return Result(NAME, name, driver.name, "redis", note=note)


def run(drivers: Sequence[Driver], names: Iterable[str]) -> list[Result]:
    """Try each behaviour of each driver, several at once."""
    for driver in drivers:
        with suppress(NotAvailable):
            driver.python()  # installed before anything runs
    pairs = [(driver, name) for name in names for driver in drivers]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            return list(pool.map(lambda pair: cell(*pair), pairs))
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BEHAVIOURS, default=[*BEHAVIOURS], metavar="BEHAVIOUR")
    parser.add_argument("--match", default="", help="only what has this in its name")
    options = parser.parse_args()
    end_politely()
    drivers = [driver for driver in COMPARED if options.match in driver.name]
    results = Results.begin()
    results.results = run(drivers, options.only)
    for name in options.only:
        print(f"\n{name}")
        for one in results.results:
            if one.case == name:
                print(f"  {one.driver:42} {one.note}")
    results.save(FOLDER / "behaviours.json")
    page.write()


if __name__ == "__main__":
    main()
