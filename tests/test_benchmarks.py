"""The benchmarks run and their counts are plausible; times are left to ``make bench``."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import capacity, page
from benchmarks.__main__ import run
from benchmarks.behaviours import BEHAVIOURS, behave
from benchmarks.drivers import Driver, NotAvailable
from benchmarks.drivers.cursors import CURSORS
from benchmarks.drivers.ours import OURS
from benchmarks.drivers.plain import PLAIN
from benchmarks.results import FOLDER, Result, Results
from benchmarks.scenarios import Case
from benchmarks.scenarios.cursors import Cursors
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


def test_pointers_are_seen_by_all_other_pages() -> None:
    movers = [driver for driver in CURSORS if driver.name in ("bare loop", "ours: live view")]
    results = run(Cursors(seconds=0.5), Case("3 movers", movers, 3, stores=("memory",)))
    assert [one.note for one in results] == ["", ""]
    for one in results:
        assert 0 < one.samples["p50"][0] <= one.samples["p99"][0] < 10_000
        assert 0 < one.samples["rate"][0] <= 60


def test_behaviour_is_tried_on_two_servers_and_one_store() -> None:
    assert behave(OURS["counter"], BEHAVIOURS["two servers"]) == (True, "shows 3 of 3")


def test_the_tables_and_pictures_of_the_performance_page_are_what_the_script_makes_of_the_results() -> None:
    text = page.PAGE.read_text()
    assert page.with_results(text) == text
    measured = page.chosen(FOLDER)
    drawn = page.pictures(measured) if measured else {}
    assert {name: (page.PICTURES / name).read_text() for name in drawn} == drawn


def test_results_become_tables_and_pictures(tmp_path: Path) -> None:
    measured, compared = Results.begin(), Results.begin()
    for size, cpu in (("50", [4.0]), ("1,000", [40.0, 50.0, 60.0, 70.0])):
        for driver in ("ours", "bare <loop>"):
            one = Result("One joins while many watch", f"{size} pages", driver, "memory", note="")
            one.add({"cpu": cpu, "frames": [1.0]})
            measured.results.append(one)
    measured.results.append(Result("A poll", "200 pages", "ours", "redis", note="it cannot be installed"))
    compared.results = [Result("", "two servers", name, "redis", note=f"✓ {name}") for name in ("a", "b")]
    measured.save(tmp_path / "short.json")
    compared.save(tmp_path / "behaviours.json")
    assert Results.load(tmp_path / "short.json") == measured
    text = page.with_results(f"before\n{page.BEGIN}old\n{page.END}after\n", tmp_path)
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| 1,000 pages | ours | memory | 55 (42.5 to 67.5) | 1 |" in text
    assert "| 200 pages | ours | redis | it cannot be installed |" in text
    assert "|  | a | b |" in text
    assert "| two servers | ✓ a | ✓ b |" in text
    assert page.with_results(text, tmp_path) == text
    ((name, svg),) = page.pictures(measured).items()
    assert f"(../_static/{name})" in text
    texts = [one.text for one in ElementTree.fromstring(svg).iter() if one.tag.endswith("}text")]
    assert {"ours", "bare <loop>", "1,000"} <= {*texts}


def test_the_capacity_of_a_process_is_a_line_that_is_checked_at_another_size() -> None:
    results = []
    for size, cpu in (("200", 14.0), ("500", 30.0), ("1,000", 54.0)):
        one = Result(capacity.SCENARIO, f"{size} pages", "ours", "memory")
        one.add({"cpu": [cpu], "memory": [36.0]})
        results.append(one)
    assert capacity.cells(results) == [["ours", "4", "0.05", "29", "30", "9,900", "36"]]
    assert capacity.cells(results[:2]) == []


def test_a_peer_that_cannot_be_installed_is_named_with_the_reason() -> None:
    class Missing(Driver):
        name, site = "a peer", "bare"

        def python(self) -> str:
            raise NotAvailable("it needs another planet")

    (result,) = run(Join(joins=1), Case("10 pages", [Missing()], PAGES, stores=("memory",)))
    assert (result.driver, result.samples, result.note) == ("a peer", {}, "it needs another planet")
