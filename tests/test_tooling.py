"""Files for tools outside of the suite agree with each other."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.servers import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CI = (ROOT / ".ci" / "run").read_text()
ENVIRONMENTS = {*re.findall(r'^    "(3\.\S+)": \(', (ROOT / "noxfile.py").read_text(), re.MULTILINE)}


RUNS = {*re.findall(r"^suite (\S+)$", CI, re.MULTILINE)}


def test_ci_names_every_environment_and_says_what_becomes_of_it() -> None:
    left_out = {*re.findall(r"tests\(([\w.-]+)\)", CI)}
    assert RUNS | left_out == ENVIRONMENTS
    assert not RUNS & left_out


def test_classifiers_name_what_ci_runs() -> None:
    classifiers = "\n".join(PYPROJECT["project"]["classifiers"])
    assert {*re.findall(r"Python :: (3\.\d+)$", classifiers, re.MULTILINE)} == {
        name.split("-")[0] for name in RUNS
    }
    series = {*re.findall(r"Django :: ([\d.]+)$", classifiers, re.MULTILINE)}
    named = {django for name in RUNS for django in re.findall(r"django([\d.]+)", name)}
    assert named < series
    assert len(series - named) == len([name for name in RUNS if "newest" in name]) == 1


def test_the_workflow_runs_every_environment_whole() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]
    named = {row["environment"] for row in jobs["tests"]["strategy"]["matrix"]["include"]}
    assert named == {name for name in ENVIRONMENTS if not name.endswith("-short")}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_grant_nothing_to_all_jobs_and_pin_what_they_use(path: Path) -> None:
    text = path.read_text()
    assert "Never run yet" in text
    assert "\npermissions: {}\n" in text
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert not [action for action in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)]


def test_hooks_install_what_the_lint_group_does() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    named = {name for hook in repository["hooks"] for name in hook.get("additional_dependencies", [])}
    assert named
    assert named <= {name for name in PYPROJECT["dependency-groups"]["lint"] if isinstance(name, str)}


@pytest.mark.parametrize("folder", [".", "benchmarks/npm", "tests/browser/npm"])
def test_lock_files_name_no_registry(folder: str) -> None:
    assert '"resolved"' not in (ROOT / folder / "package-lock.json").read_text()
    assert "omit-lockfile-registry-resolved=true" in (ROOT / folder / ".npmrc").read_text()


def test_ci_is_a_script_that_bash_understands() -> None:
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)
