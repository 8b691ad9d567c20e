"""The check before a release, which is run over a wheel of a tree that is ready, and of trees that are not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import ROOT

FILES = ("CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "djust_presence/__init__.py")
Edit = tuple[str, str, str]  # the file, what stands there, what is to stand there

READY: dict[str, Edit] = {
    "version": ("pyproject.toml", 'version = "0.1.0.dev0"', 'version = "0.1.0"'),
    "changelog": ("CHANGELOG.md", "## Unreleased", "## 0.1.0 - 2026-12-01"),
    "repository": ("pyproject.toml", 'repository = ""', 'repository = "https://example.com/them/it/"'),
}


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    def check(tag: str, *edits: Edit) -> tuple[int, str]:
        shutil.copytree(ROOT / "tools", tmp_path / "tools")
        for name in FILES:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
        for name, old, new in edits:
            text = (tmp_path / name).read_text()
            assert old in text, f"{name} does not say {old!r} any more"
            (tmp_path / name).write_text(text.replace(old, new, 1))
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
        subprocess.run(build, cwd=tmp_path, check=True, capture_output=True, timeout=120)
        done = subprocess.run(
            [sys.executable, "tools/release_check.py", tag, "dist"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert not done.stderr
        return done.returncode, done.stdout

    return check


def test_a_tree_that_is_ready_passes(check: Callable[..., tuple[int, str]]) -> None:
    said = "djust_presence-0.1.0-py3-none-any.whl can be published as v0.1.0.\n"
    assert check("v0.1.0", *READY.values()) == (0, said)


@pytest.mark.parametrize(
    ("left_out", "reasons"),
    [
        ("version", ["wants v0.1.0.dev0", "is no version to publish", "no heading '## 0.1.0.dev0"]),
        ("changelog", ["no heading '## 0.1.0 - YEAR-MONTH-DAY'"]),
        ("repository", ["address is not filled in", "links of the README would lead nowhere on PyPI"]),
    ],
)
def test_what_is_not_ready_is_said(
    left_out: str, reasons: list[str], check: Callable[..., tuple[int, str]]
) -> None:
    status, said = check("v0.1.0", *(edit for name, edit in READY.items() if name != left_out))
    *told, last = said.splitlines()
    assert status == 1
    assert len(told) == len(reasons), said
    assert all(reason in line for reason, line in zip(reasons, told, strict=True)), said
    assert last.endswith("must not be published as v0.1.0.")


def test_another_tag_is_refused(check: Callable[..., tuple[int, str]]) -> None:
    status, said = check("v0.2.0", *READY.values())
    assert status == 1
    assert "The tag is 'v0.2.0', and version 0.1.0 wants v0.1.0" in said
