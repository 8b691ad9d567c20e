"""Puts the results into the documentation: ``python -m benchmarks.page``, which the benchmarks do at their end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from tests.servers import ROOT

from . import capacity
from .plots import plot
from .results import FOLDER, Result, Results, rows

__all__ = ["PAGE", "PICTURES", "chosen", "pictures", "with_results", "write"]

PAGE = ROOT / "docs" / "explanation" / "performance.md"
PICTURES = ROOT / "docs" / "_static"
BEGIN, END = "<!-- results: python -m benchmarks.page -->\n", "<!-- end of results -->\n"
NOTHING = (
    "There are no results in the repository yet. `make bench-full` and `make compare` write them here.\n"
)
CAPACITY = (
    "A join costs what the first two columns say: `join + pages * page`. The line is drawn through the smallest and the "
    "largest number of pages above, and checked at 500. The last columns are for one join or leave in each second, on half "
    "a core.\n"
)
PLOTTED = {"One joins while many watch": "cpu", "Pointers that move": "core"}


def table(heads: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([*row, *[""] * (len(heads) - len(row))] for row in cells)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def machine(results: Results) -> str:
    """Return a line about the machine and software of the results."""
    facts = results.machine
    times = sorted(one.when for one in results.results if one.when) or [results.when]
    between = times[0] if times[0] == times[-1] else f"{times[0]} to {times[-1]}"
    packages = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    return (
        f"Measured on {between} UTC, at commit {facts['commit']}: {facts['processors']} processors ({facts['processor']}), "
        f"{facts['memory_gib']} GiB, {facts['system']}, Python {facts['python']}, {packages}. The load of the machine "
        f"was {facts['load_before']} before.\n"
    )


def name_of(scenario: str) -> str:
    """The file of a scenario's picture."""
    return f"performance-{scenario.lower().replace(' ', '-')}.svg"


def pictures(results: Results) -> dict[str, str]:
    """The SVG of each scenario that has one, by the name of its file."""
    found = {
        scenario: plot([one for one in results.results if one.scenario == scenario], measure)
        for scenario, measure in PLOTTED.items()
    }
    return {name_of(scenario): svg for scenario, svg in found.items() if svg}


def costs(results: Results) -> str:
    drawn, text = pictures(results), machine(results)
    for scenario, heads, cells in rows(results.results):
        text += f"\n### {scenario}\n\n{table(heads, cells)}"
        if name_of(scenario) in drawn:
            text += f"\n![{scenario}: the same as lines](../_static/{name_of(scenario)})\n"
        if scenario == capacity.SCENARIO and (lines := capacity.cells(results.results)):
            text += f"\n### Capacity of a process\n\n{CAPACITY}\n{table(capacity.HEADS, lines)}"
    return text


def behaviours(results: Results) -> str:
    """A table of behaviours by driver."""
    found: list[tuple[str, list[Result]]] = [
        (name, list(group)) for name, group in groupby(results.results, lambda one: one.case)
    ]
    drivers = [one.driver for one in found[0][1]]
    cells = [[name, *(one.note for one in group)] for name, group in found]
    return f"### When something goes wrong\n\n{machine(results)}\n{table(['', *drivers], cells)}"


def chosen(folder: Path) -> Results | None:
    """The results of a full run, or else of a short one."""
    files = [folder / name for name in ("full.json", "short.json")]
    return next((Results.load(file) for file in files if file.exists()), None)


def with_results(text: str, folder: Path = FOLDER) -> str:
    """Return the page *text* with what is in *folder* between its marks."""
    measured, compared = chosen(folder), folder / "behaviours.json"
    parts = [costs(measured)] if measured else []
    if compared.exists():
        parts.append(behaviours(Results.load(compared)))
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{chr(10).join(parts) or NOTHING}\n{END}{rest.partition(END)[2]}"


def write() -> None:
    """Bring the page and its pictures up to date."""
    PAGE.write_text(with_results(PAGE.read_text()))
    if measured := chosen(FOLDER):
        for name, svg in pictures(measured).items():
            (PICTURES / name).write_text(svg)


if __name__ == "__main__":
    write()
