"""Processes of Python that start in a third of the time: each is forked from one that has imported what they all do.

That is Django and the servers, never the package: its modules are imported by each process itself, in its own order.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["Fork", "can_fork"]

# Nothing here may ask for settings, or install a reactor.
IMPORTED = [
    "channels.auth",
    "channels.generic.websocket",
    "channels.routing",
    "channels_redis.core",
    "channels_redis.pubsub",
    "django.contrib.auth.hashers",
    "django.contrib.staticfiles.storage",
    "django.core.handlers.asgi",
    "django.core.handlers.wsgi",
    "django.core.management",
    "django.db.backends.sqlite3.base",
    "django.db.migrations.executor",
    "django.db.models",
    "django.forms",
    "django.template.loader",
    "django.test.signals",
    "django.urls",
    "django.views.debug",
    "jinja2",
    "OpenSSL.SSL",
    "redis.asyncio",
    "twisted.internet.asyncioreactor",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.main",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    "whitenoise",
]
# What a process takes from its environment after its start. With any other variable for Python it is started anew.
KNOWN = {"PYTHONPATH", "PYTHONWARNINGS", "PYTHONFAULTHANDLER", "PYTHONUNBUFFERED"}
PATIENCE = 60.0  # seconds until the parent has imported everything
_STARTING = threading.Lock()  # servers may be started at the same time, and need one parent


def can_fork(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return whether *command* may run as a `Fork`: our own Python with ``-m`` and a module, or with a script."""
    ours = hasattr(os, "fork") and len(command) > 1 and command[0] == sys.executable
    return (
        ours
        and (command[1] == "-m" or command[1].endswith(".py"))
        and all(name in KNOWN for name in environment if name.startswith("PYTHON"))
    )


class Fork:
    """A process that was started warm; what of `subprocess.Popen` the tests use."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> None:
        """Run *command*, for which `can_fork` is true; what it says is added to *log*. Its stdin is empty."""
        self.args = list(command)
        self.returncode: int | None = None
        self._answers = socket.socket(socket.AF_UNIX)
        with _STARTING:
            self._answers.connect(_parent())
        request = {"command": self.args, "cwd": str(cwd), "env": dict(env), "log": str(log)}
        self._answers.sendall(json.dumps(request).encode() + b"\n")
        self._lines = self._answers.makefile()
        self.pid = int(self._lines.readline())

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code, negative for a signal; ``subprocess.TimeoutExpired`` after *timeout* seconds."""
        if self.returncode is None:
            if not select.select([self._answers], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._lines.readline())
            self._lines.close()
            self._answers.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@functools.cache
def _parent() -> str:
    """Return the address of the process that is forked; it is started by the first who asks, and ends with us."""
    directory = tempfile.mkdtemp(prefix="djust-presence-warm-")
    address = f"{directory}/socket"
    # Measuring coverage, too, is for each process to begin itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    process = subprocess.Popen(
        [sys.executable, __file__, address],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def end() -> None:
        process.kill()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)

    atexit.register(end)
    assert process.stdout
    assert select.select([process.stdout], [], [], PATIENCE)[0], f"{__file__} says nothing"
    assert process.stdout.readline() == b"ready\n", f"{__file__} failed"
    return address


# From here on: in the process that is forked, and in those that are forked from it.


def _requests(address: str) -> Iterator[socket.socket]:
    """Yield connections until our own parent is gone."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(128)
        os.write(1, b"ready\n")
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            yield listener.accept()[0]


def _serve(address: str) -> dict[str, Any] | None:
    """Fork for each request; returns what is to be run, in the process that is to run it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    for connection in _requests(address):
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            with connection:
                request: dict[str, Any] = json.loads(connection.makefile().readline())
                pid = os.fork()
                if pid:
                    _wait(pid, connection)
            return request
        connection.close()
    return None


def _wait(pid: int, connection: socket.socket) -> NoReturn:
    """Tell the other side of *connection* which process was started, and how it ends."""
    with contextlib.suppress(OSError):
        connection.sendall(b"%d\n" % pid)
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os._exit(0)


def _become(request: dict[str, Any]) -> None:
    """Run a command in this process, as Python would that was started for it."""
    with open(os.devnull, "rb") as nothing, open(request["log"], "ab") as log:
        for file, number in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(file.fileno(), number)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    if os.environ.get("PYTHONFAULTHANDLER"):
        faulthandler.enable()
    sys.stdout.reconfigure(write_through=bool(os.environ.get("PYTHONUNBUFFERED")))  # type: ignore[union-attr]
    for option in filter(None, os.environ.get("PYTHONWARNINGS", "").split(",")):
        warnings.simplefilter(option)  # type: ignore[arg-type]  # one without a message or a module
    if os.environ.get("COVERAGE_PROCESS_CONFIG"):
        importlib.import_module("coverage").process_startup()
    _, first, *rest = request["command"]
    module = rest.pop(0) if first == "-m" else ""
    sys.argv = [module or first, *rest]
    own = os.getcwd() if module else os.path.dirname(os.path.abspath(first))
    sys.path[:0] = [own, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    if module:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    del sys.path[0]  # our own folder
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, which is for our parent
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    if request := _serve(sys.argv[1]):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _become(request)
