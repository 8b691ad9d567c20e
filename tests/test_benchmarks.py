"""The benchmarks run, and what they measure is plausible; how long things take is for ``make bench`` to say."""

from __future__ import annotations

import sys

import pytest

from benchmarks.__main__ import run
from benchmarks.drivers.ours import OURS
from benchmarks.drivers.plain import PLAIN
from benchmarks.results import Result
from benchmarks.scenarios import Case
from benchmarks.scenarios.join import Join

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are read from /proc")

PAGES = 10


def test_a_join_is_measured_here_and_in_a_bare_loop() -> None:
    case = Case("10 pages", [PLAIN["bare"], OURS["counter"]], PAGES)
    bare, memory, redis = run(Join(joins=2), case)
    assert [one.note for one in (bare, memory, redis)] == ["", "", ""]
    assert [one.store for one in (bare, memory, redis)] == ["memory", "memory", "redis"]
    for result in (bare, memory, redis):
        check(result)
        # The very same bytes, in a frame for each page.
        assert result.samples["frames"] == [PAGES, PAGES]
        assert result.samples["bytes"] == bare.samples["bytes"]
    assert memory.samples["commands"] == []
    assert 2 <= redis.samples["commands"][0] < 8  # a script and a message; a renewal may fall between


def check(result: Result) -> None:
    cpu, last = result.samples["cpu"], result.samples["last"]
    assert len(cpu) == len(last) == 2
    assert all(0 < one < 10_000 for one in cpu + last)
