"""Processes that are forked from a warm one: they run as if Python had been started for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.warm import IMPORTED, Fork, can_fork

SCRIPT = """
import atexit, os, sys, threading, warnings
atexit.register(print, "over")
threading.Thread(target=lambda: (threading.main_thread().join(), print("a thread"))).start()
print(sys.argv[1:], os.getcwd(), sorted(os.environ), sys.stdin.read(), __name__, [p for p in sys.path if "here" in p])
print(sorted(name for name in sys.modules if name.split(".")[0] in ("djust_presence", "djust", "tests")))
print("twisted.internet.reactor" in sys.modules)
warnings.warn("old", DeprecationWarning)
{}
"""


def start(tmp_path: Path, script: str, **environment: str) -> tuple[Fork, Path]:
    (tmp_path / "script.py").write_text(script)
    log = tmp_path / "log"
    command = [sys.executable, str(tmp_path / "script.py"), "--port", "1"]
    assert can_fork(command, environment)
    return Fork(command, cwd=tmp_path, env=environment, log=log), log


@pytest.mark.parametrize(
    ("end", "code"), [("", 0), ("sys.exit(3)", 3), ("1 / 0", 1), ("os.kill(os.getpid(), 9)", -9)]
)
def test_a_script_finds_what_it_was_given_and_ends_as_it_would(tmp_path: Path, end: str, code: int) -> None:
    process, log = start(
        tmp_path,
        SCRIPT.format(end),
        PYTHONPATH="/here/1:/here/2",
        PYTHONWARNINGS="default",
        PYTHONUNBUFFERED="1",
        A="1",
    )
    assert process.wait(60) == process.poll() == code
    said = log.read_text()
    names = ["A", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONWARNINGS"]
    assert f"['--port', '1'] {tmp_path} {names}  __main__ ['/here/1', '/here/2']\n[]\nFalse\n" in said
    assert "DeprecationWarning: old" in said
    assert ("ZeroDivisionError" in said) == (end == "1 / 0")
    assert said.endswith("a thread\nover\n") == (code >= 0)


def test_a_process_is_waited_for_and_ended(tmp_path: Path) -> None:
    process, _ = start(tmp_path, "import signal; signal.pause()")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0)
    assert process.poll() is None
    os.kill(process.pid, 0)
    process.terminate()
    assert process.wait(20) == -signal.SIGTERM
    process.kill()  # too late, and no error
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        (["valkey-server"], {}),
        ([sys.executable, "-c", "1"], {}),
        ([sys.executable, "-W", "error", "x.py"], {}),
        ([sys.executable, "x.py"], {"PYTHONHASHSEED": "0"}),
        (["/other/python", "x.py"], {}),
    ],
)
def test_what_a_fork_could_not_be_is_not_forked(command: list[str], environment: dict[str, str]) -> None:
    assert not can_fork(command, environment)


def test_nothing_of_ours_is_imported_beforehand() -> None:
    assert not [name for name in IMPORTED if name.startswith(("djust", "tests", "example"))]
