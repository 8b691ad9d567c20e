"""The wheel and the sdist: their content, their metadata, and their use in a project that installs them."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest

import djust_presence
from tests.servers import ROOT

PACKAGE = Path(djust_presence.__path__[0])
SMOKE = ROOT / "tests" / "smoke"
pytestmark = pytest.mark.timeout(600)  # an environment is made over the network
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


class Built(NamedTuple):
    wheel: Path
    sdist: Path


def run(*words: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """Return what a command prints. It fails with that, and nothing of this checkout is on its path."""
    mine = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "DJANGO_", "MYPY"))
    }
    done = subprocess.run(
        words,
        cwd=cwd,
        env=mine | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
    )
    assert not done.returncode, done.stdout
    return done.stdout


def build(root: Path, target: str, folder: Path) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder, cwd=root)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("dist")
    return Built(build(ROOT, "wheel", folder / "wheel"), build(ROOT, "sdist", folder / "sdist"))


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel, a server, and the stubs that a typed project wants."""
    python = tmp_path_factory.mktemp("clean") / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", python.parent.parent)
    wanted = [
        f"djust-presence @ {built.wheel.as_uri()}",
        "channels[daphne,types]",
        f"django=={version('django')}",
    ]
    run(python, "-m", "pip", "install", "-q", *wanted, f"django-stubs=={version('django-stubs')}")
    return python


def contents(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_the_whole_package_and_nothing_else(built: Built) -> None:
    files = {
        path.as_posix()
        for path in (found.relative_to(PACKAGE.parent) for found in PACKAGE.rglob("*") if found.is_file())
        if path.suffix != ".pyc" and "/." not in path.as_posix()
    }
    names = contents(built.wheel)
    assert names == files
    for suffix in (".py", ".lua", ".js", "py.typed"):
        assert any(name.endswith(suffix) for name in names), suffix


def test_the_sdist_makes_the_same_wheel(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path / "sdist", filter="data")
    (root,) = (tmp_path / "sdist").iterdir()
    again = build(root, "wheel", tmp_path / "wheel")
    with zipfile.ZipFile(again) as one, zipfile.ZipFile(built.wheel) as other:
        assert {name: one.read(name) for name in one.namelist()} == {
            name: other.read(name) for name in other.namelist()
        }


def test_pypi_would_take_both(built: Built) -> None:
    said = run(sys.executable, "-m", "twine", "check", "--strict", built.wheel, built.sdist)
    assert said.count("PASSED") == 2


def test_the_only_extras_are_those_for_users(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_string(archive.read(name).decode())
    assert {*metadata.get_all("Provides-Extra", [])} == {"redis", "djust"}
    needed = [line.split(";")[0] for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert len(needed) == len(PROJECT["dependencies"]) == 3


def test_a_project_that_installs_the_wheel_can_use_it(installed: Path) -> None:
    run(installed, "-W", "error", "try_it.py", cwd=SMOKE, DJANGO_SETTINGS_MODULE="smoke.settings")


def test_mypy_finds_nothing_in_that_project_in_strict_mode(installed: Path, tmp_path: Path) -> None:
    words = ["--python-executable", str(installed), "--cache-dir", str(tmp_path), "."]
    assert "no issues found" in run(sys.executable, "-m", "mypy", *words, cwd=SMOKE)


def test_pyright_finds_nothing_in_that_project_in_strict_mode(installed: Path) -> None:
    said = run(Path(sys.executable).with_name("basedpyright"), "--pythonpath", installed, cwd=SMOKE)
    assert said.startswith("0 errors, 0 warnings")
