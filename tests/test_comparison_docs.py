"""The comparison with others: each cell has a test, a run or a source behind it."""

from __future__ import annotations

import re

from benchmarks.behaviours import BEHAVIOURS
from tests.servers import ROOT

PAGE = (ROOT / "docs" / "explanation" / "comparison.md").read_text()
NOTES = dict(re.findall(r"^\[\^([\w-]+)\]: (.+)$", PAGE, re.MULTILINE))


def table(section: str) -> dict[str, list[str]]:
    """The rows of the only table of a section, by their first cell."""
    text = PAGE.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {name: cells for name, *cells in rows[2:]}


def test_every_behaviour_that_a_run_tries_has_its_outcomes() -> None:
    rows = table("In Django")
    assert [*rows] == [*BEHAVIOURS]
    assert not [cell for cells in rows.values() for cell in cells if cell[0] not in "✓✗"]


def test_every_cell_about_others_has_a_note() -> None:
    rows = table("Elsewhere")
    noted = re.compile(r"(\N{EN DASH}|theirs to handle|.* \[\^[\w-]+\])")
    assert rows
    assert not [cell for cells in rows.values() for cell in cells if not noted.fullmatch(cell)]


def test_every_note_is_used_and_leads_to_a_test_a_run_or_a_source() -> None:
    assert set(NOTES) == set(re.findall(r"\[\^([\w-]+)\](?!:)", PAGE))
    assert not [
        note for note in NOTES.values() if not re.search(r"`test_\w+`|`make compare`|\]\(https://", note)
    ]


def test_the_tests_that_are_named_are_there() -> None:
    sources = [*ROOT.glob("tests/**/test_*.py"), *ROOT.glob("djust_presence/testing/**/*.py")]
    there = {name for source in sources for name in re.findall(r"\bdef (test_\w+)\(", source.read_text())}
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named
    assert named - there == set()
