"""Nobody who is here is reported gone, whatever breaks, and all pages are right soon after it."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random

import pytest

from .conftest import TABLE
from .scenarios import LONG, SCENARIOS
from .world import Report

AT_ONCE = 3  # runs, which mostly wait
RUNS = int(os.environ.get("OUTAGE_RUNS", "1"))
MOST = 30  # people whom a failure names
SEED = os.environ.get("OUTAGE_SEED", "0")

Runs = dict[str, list[Future[Report]]]


def run(name: str, n: int) -> Report:
    async def scenario() -> Report:
        return await (SCENARIOS | LONG)[name](Random(f"{SEED}/{name}/{n}"))

    return asyncio.run(scenario())


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    """The runs of all selected tests, some at a time; those of a soak end with a table."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        mine = [item for item in request.session.items if item.path == request.path]
        runs = {
            item.callspec.params["name"]: [  # type: ignore[attr-defined]
                pool.submit(run, item.callspec.params["name"], n)  # type: ignore[attr-defined]
                for n in range(RUNS if item.get_closest_marker("soak") else 1)
            ]
            for item in mine
        }
        yield runs
        for futures in runs.values():
            for future in futures:
                future.cancel()


def check(reports: Sequence[Report]) -> None:
    """Fail with who was reported gone and to how many pages, and with what else was wrong."""
    gone = Counter(user for report in reports for _, user in report.wrong)
    faults = [f"{user} was reported gone to {pages} pages" for user, pages in gone.most_common(MOST)]
    faults += dict.fromkeys(fault for report in reports for fault in (report.amiss, *report.log) if fault)
    if faults:
        pytest.fail(f"{sum(gone.values())} wrong leaves.\n" + "\n".join(faults), pytrace=False)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SCENARIOS)
def test_nobody_who_is_here_is_reported_gone(runs: Runs, name: str) -> None:
    check([runs[name][0].result()])


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", [*SCENARIOS, *LONG])
def test_nobody_is_ever_reported_gone(runs: Runs, name: str, pytestconfig: pytest.Config) -> None:
    reports = [future.result() for future in runs[name]]
    wrong = [len(report.wrong) for report in reports]
    slowest = max(report.recovery for report in reports)
    pytestconfig.stash[TABLE].append(
        f"{name:25}{len(reports):3} runs,{sum(map(bool, wrong)):3} of them with{sum(wrong):6} wrong leaves, "
        f"slowest recovery{slowest:5.1f} s"
    )
    check(reports)
