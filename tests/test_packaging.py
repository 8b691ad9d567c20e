"""The content of the wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import djust_presence

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(djust_presence.__path__[0])


def test_the_wheel_holds_the_whole_package_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {
        path.as_posix()
        for path in (found.relative_to(PACKAGE.parent) for found in PACKAGE.rglob("*") if found.is_file())
        if path.suffix != ".pyc" and "/." not in path.as_posix()
    }
    assert names == files
    for suffix in (".py", ".lua", ".js", "py.typed"):
        assert any(name.endswith(suffix) for name in names), suffix
