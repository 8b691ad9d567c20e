"""Docstrings say their subject first: at most a few are headless clauses ("What …", "Whether …")."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ["djust_presence", "tests", "benchmarks", "example_project", "tools", "docs"]
CLAUSES = {"What", "Who", "Whoever", "Whose", "Whether", "Where", "How", "That"}
MOST = 0.03


def docstrings(folder: str) -> Iterator[tuple[str, str]]:
    """Yield the place and the first line of each docstring of a folder."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                if text := ast.get_docstring(node):
                    yield f"{path.relative_to(ROOT)}:{node.body[0].lineno}", text.splitlines()[0]


def is_headless(line: str) -> bool:
    """Return whether a docstring begins with a clause in the place of a noun or a verb."""
    first = line.split()[0] if line.split() else ""
    return first.rstrip(",.:;").partition("'")[0] in CLAUSES


def test_a_clause_is_told_from_a_noun_or_a_verb() -> None:
    assert is_headless("What the store answers.")
    assert is_headless("Who's there.")
    assert not is_headless("Return what the store answers.")
    assert not is_headless("Whatever")


def test_few_docstrings_of_the_tree_are_headless_clauses() -> None:
    lines = [found for folder in FOLDERS for found in docstrings(folder)]
    wrong = [f"{place}: {line}" for place, line in lines if is_headless(line)]
    share = len(wrong) / len(lines)
    assert share <= MOST, f"{len(wrong)} of {len(lines)} docstrings ({share:.1%}):\n" + "\n".join(wrong)


def test_no_docstring_of_the_package_is_a_headless_clause() -> None:
    assert [f"{place}: {line}" for place, line in docstrings("djust_presence") if is_headless(line)] == []
