"""`.ci/run` keeps to its time and names what it leaves out: run with commands that only say that they were called."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import ROOT

Ci = Callable[..., tuple[int, list[str]]]

NOX = """#!/bin/sh
echo "ran $4"
{before}
case $4 in {skipped}) result=skipped ;; *) result=success ;; esac
printf '{{"sessions": [{{"result": "%s"}}]}}' $result > "$2"
"""


@pytest.fixture
def ci(tmp_path: Path) -> Ci:
    def ci(before: str = "", skipped: str = "none", seconds: int = 600) -> tuple[int, list[str]]:
        commands = {
            f"bin/{name}": "#!/bin/sh\n" for name in ("chromium", "make", "npm", "python3", "redis-server")
        }
        commands[".venv-nox/bin/pip"] = "#!/bin/sh\n"
        commands[".venv-nox/bin/nox"] = NOX.format(before=before, skipped=skipped)
        for name, text in commands.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        (tmp_path / ".ci").mkdir()
        shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
        done = subprocess.run(
            ["bash", str(tmp_path / ".ci" / "run")],
            env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "CI_SECONDS": str(seconds)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
        )
        return done.returncode, done.stdout.splitlines()

    return ci


def starting_with(word: str, lines: list[str]) -> list[str]:
    return [line.removeprefix(word).split(": ")[0] for line in lines if line.startswith(word)]


OLDEST, NEWEST, SHORT = ("tests(3.11-django5.2-djust)", "tests(3.13-newest)", "tests(3.12-django6.0-short)")
NEVER = ["tests(3.12-django6.0)", "tests(3.14-newest), tests(3.14t-newest), tests(3.14-main)"]


def test_three_environments_are_run_and_the_rest_is_named(ci: Ci) -> None:
    status, lines = ci()
    assert status == 0
    assert starting_with("ran ", lines) == [OLDEST, NEWEST, SHORT]
    assert starting_with("left out: ", lines) == NEVER


def test_an_environment_whose_python_is_missing_is_named(ci: Ci) -> None:
    status, lines = ci(skipped="*3.12*")
    assert status == 0
    assert f"left out: {SHORT}: its Python is not on this machine" in lines


def test_a_suite_that_would_not_fit_is_left_out_by_name(ci: Ci) -> None:
    status, lines = ci(before="sleep 6", seconds=11)
    assert status == 0
    assert starting_with("ran ", lines) == [OLDEST]
    assert starting_with("left out: ", lines) == [NEWEST, SHORT, *NEVER]


def test_a_suite_that_does_not_end_is_stopped_and_is_a_failure(ci: Ci) -> None:
    status, lines = ci(before="sleep 60", seconds=3)
    assert status == 124
    assert lines[-1].startswith("Stopped: ")


def test_a_suite_that_fails_ends_the_run(ci: Ci) -> None:
    status, lines = ci(before="exit 1")
    assert status == 1
    assert starting_with("ran ", lines) == [OLDEST]
