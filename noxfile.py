"""The environments that the suite is for: `nox --list` names them, `nox -s "tests(3.12-django6.0)"` runs one.

Each is `make test` with a Python and a series of Django; uv, which nox brings along, installs what it needs.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"

# Where browsers take part, a visitor of one test may be seen by the next for a while: in CI these keep their order.
IN_ORDER = "ARGS=-p no:randomly"
CALM = "JOBS=2"  # one less than by default: a test that fails by load would stop a change that has nothing to do with it
# By name: the Python, the series of Django (the newest that fits if there is none), and what else make test is told.
ENVIRONMENTS = {
    "3.11-django5.2-djust": ("3.11", "", [CALM, IN_ORDER]),
    "3.13-newest": ("3.13", "", [CALM, IN_ORDER]),
    "3.12-django6.0-short": (
        "3.12",
        "6.0",
        [CALM, "SKIP_BROWSER=1", "ARGS=--ignore=tests/cluster --ignore=tests/outages", "COVERAGE=1"],
    ),
    "3.12-django6.0": ("3.12", "6.0", []),
    "3.14-newest": ("3.14", "", []),
    "3.14t-newest": ("3.14t", "", []),
    "3.14-main": ("3.14", "main", []),
}


def interpreter(version: str) -> str | None:
    """Return the path of Python *version* on PATH or in pyenv; one that ends in ``t`` is free-threaded."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    code = "import sys; print(f'{sys.version_info[0]}.{sys.version_info[1]}{sys.abiflags}')"
    for path in ("python3", f"python{version}", *sorted(pyenv.glob(f"versions/{version[:4]}.*/bin/python3"))):
        try:
            said = subprocess.run([path, "-c", code], capture_output=True, text=True)
        except FileNotFoundError:
            continue
        if said.stdout.strip() == version:
            return str(path)
    return None


@nox.session(python=False)
@nox.parametrize("name", [nox.param(name, id=name) for name in ENVIRONMENTS])
def tests(session: nox.Session, name: str) -> None:
    """The suite; what follows -- goes to make."""
    version, django, words = ENVIRONMENTS[name]
    python = interpreter(version)
    if python is None:
        session.skip(f"there is no Python {version} here")
    chosen = [f"PYTHON={python}", f"DJANGO={django}"]
    session.run("make", "test", *chosen, *words, *session.posargs, external=True)
    if "COVERAGE=1" in words:
        session.run("make", "coverage", *chosen, external=True)
