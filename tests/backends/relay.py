"""A line between a client and a server that a test can watch and disturb."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from types import TracebackType
from typing import Self

QUIET = 0.05  # seconds of silence after which a client is taken to wait for its answer


class Relay:
    """A proxy that holds the server's answers back until the client has gone quiet.

    ``round_trips`` counts how often a client had to wait, ``answered`` the bytes that it got. With ``deaf`` a connection
    breaks instead of passing an answer on; so do the next ``losing`` ones. With ``swallows`` connections stay open, and
    nothing is passed on.
    """

    def __init__(self, port: int) -> None:
        self.server = port
        self.round_trips = 0
        self.answered = 0
        self.deaf = False
        self.losing = 0
        self.swallows = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()
        return f"redis://{host}:{port}/0"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            if select.select([self._listener], [], [], QUIET)[0]:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._pass_on, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, client: socket.socket) -> None:
        with (
            client,
            socket.create_connection(("127.0.0.1", self.server)) as server,
            contextlib.suppress(OSError),
        ):
            asked, answer = False, b""
            while not self._stopping.is_set():
                ready, _, _ = select.select([client, server], [], [], QUIET)
                if client in ready:
                    if not (data := client.recv(1 << 16)):
                        return
                    asked = True
                    if not self.swallows:
                        server.sendall(data)
                if server in ready:
                    if not (data := server.recv(1 << 16)):
                        return
                    answer += b"" if self.swallows else data
                if client not in ready and server not in ready and answer:
                    if self.deaf:
                        return
                    if self.losing:
                        self.losing -= 1
                        return
                    self.round_trips += asked
                    self.answered += len(answer)
                    client.sendall(answer)
                    asked, answer = False, b""
