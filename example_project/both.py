"""Serves the example for trying it out: by daphne's runserver, and by WSGI on the next port, on a Valkey of its own."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from serve import leave, valkey

HERE = Path(__file__).resolve().parent


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: pages poll."""


def serve_by_wsgi(host: str, port: int) -> None:
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.wsgi import get_wsgi_application

    sys.path.insert(0, str(HERE))
    os.environ["DJANGO_SETTINGS_MODULE"] = "example_project.settings"
    application = StaticFilesHandler(get_wsgi_application())
    with (
        contextlib.suppress(KeyboardInterrupt),
        make_server(host, port, application, Threads, Quiet) as server,
    ):
        server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--beside", type=int, help="the port of the WSGI server, if not the next one")
    parser.add_argument("--wsgi-only", action="store_true", help="serve nothing but WSGI, on this port")
    options = parser.parse_args()
    if options.wsgi_only:
        serve_by_wsgi(options.host, options.port)
        return
    signal.signal(signal.SIGTERM, leave)
    where, beside = ["--host", options.host], str(options.beside or options.port + 1)
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        if not os.environ.get("REDIS_URL"):
            os.environ["REDIS_URL"] = stack.enter_context(valkey())
        environment = os.environ | {"HOST": options.host, "PORTS": f"{options.port},{beside}"}
        commands = [
            [str(HERE / "both.py"), *where, "--port", beside, "--wsgi-only"],
            [str(HERE / "manage.py"), "runserver", f"{options.host}:{options.port}"],
        ]
        servers = []
        for command in commands:
            servers.append(stack.enter_context(subprocess.Popen([sys.executable, *command], env=environment)))
            stack.callback(servers[-1].terminate)
        servers[-1].wait()


if __name__ == "__main__":
    main()
