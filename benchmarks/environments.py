"""Virtual environments of peers, each made the first time that it is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import version

from tests.servers import ROOT

from .drivers.base import NotAvailable

__all__ = ["environment"]

SERVED_BY = ("uvicorn", "websockets", "channels-redis")  # in the versions that everybody is served by


@cache
def interpreter(minor: int) -> str:
    """Return this Python, PEER_PYTHON of the environment, or one on PATH: the first that is 3.*minor* or newer.

    Raises `NotAvailable`.
    """
    named = [f"python3.{newer}" for newer in range(minor, minor + 4)]
    test = f"import sys, venv; sys.exit(sys.version_info < (3, {minor}))"
    for name in [sys.executable, os.environ.get("PEER_PYTHON", ""), *named]:
        found = shutil.which(name)
        if found and subprocess.run([found, "-c", test], capture_output=True).returncode == 0:
            return found
    raise NotAvailable(
        f"it needs Python 3.{minor}; PEER_PYTHON=/path/to/python names one that is not on PATH"
    )


failures: dict[str, str] = {}  # by environment: why it cannot be made, so that nobody tries again


@cache
def environment(name: str, *requirements: str, minor: int = 11) -> str:
    """Return the interpreter of an environment with *requirements* and the server that all others have.

    It has Python 3.*minor* or newer. Raises `NotAvailable`, with what pip says, if that cannot be installed.
    """
    if name in failures:
        raise NotAvailable(failures[name])
    base = interpreter(minor)
    folder = ROOT / f".venv-peer-{name}"
    python, stamp = folder / "bin" / "python", folder / "requirements"
    wanted = "\n".join([base, *requirements, *(f"{package}=={version(package)}" for package in SERVED_BY)])
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"  installing {' '.join(requirements)} into {folder.name} …", file=sys.stderr, flush=True)
        pip = [
            str(python),
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            *wanted.splitlines()[1:],
        ]
        for command in ([base, "-m", "venv", "--clear", str(folder)], pip):
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            if done.returncode:
                last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
                failures[name] = f"{' '.join(requirements)} cannot be installed: {' '.join(last)}"
                raise NotAvailable(failures[name])
        stamp.write_text(wanted)
    return str(python)
