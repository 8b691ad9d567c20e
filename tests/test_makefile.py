"""Assumptions of the Makefile about the code beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.order import LONG_FILES
from tests.servers import ROOT, find_chromium

BROWSERS = re.search(r"command -v (.+) >/dev/null \|\| \$\(BIN\)/playwright", (ROOT / "Makefile").read_text())


@pytest.mark.parametrize("name", BROWSERS[1].split() if BROWSERS else [])
def test_the_browser_that_make_test_finds_is_the_one_that_the_tests_use(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_chromium(whole=True) == str(tmp_path / name)


def test_the_files_that_make_test_starts_first_are_there_and_named_once() -> None:
    assert [name for name in LONG_FILES if not (ROOT / "tests" / name).is_file()] == []
    assert len(set(LONG_FILES)) == len(LONG_FILES)
