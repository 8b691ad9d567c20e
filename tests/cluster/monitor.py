"""All that a Redis server is told, by the names of its clients."""

from __future__ import annotations

import re
import shlex
import socket
import threading
from collections import defaultdict
from types import TracebackType
from typing import Self

from tests.servers import RedisServer

__all__ = ["Monitor"]

LINE = re.compile(r"\+\d+\.\d+ \[(\d+) (\S+)\] (.*)")
OF_A_CONNECTION = {"AUTH", "CLIENT", "COMMAND", "HELLO", "INFO", "PING", "SCRIPT", "SELECT", "TIME"}
CHANNELS = {"PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"}
OF_SEVERAL_KEYS = {"DEL", "EXISTS", "SUBSCRIBE", "UNLINK", "UNSUBSCRIBE"}


class Monitor:
    """Listens to MONITOR from when it is entered. Clients that were connected before have no name."""

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        self._socket = socket.create_connection(("127.0.0.1", self._redis.port), timeout=10)
        self._socket.sendall(b"MONITOR\r\n")
        assert self._socket.recv(5) == b"+OK\r\n"
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Listen no longer."""
        if self._thread.is_alive():
            self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._socket.close()

    def _read(self) -> None:
        with self._socket.makefile(encoding="utf-8") as file:
            self._lines.extend(line.rstrip("\r\n") for line in file)

    def names(self) -> dict[str, set[str]]:
        """The keys, each with its database, and the channels that the clients of each name have used.

        What a script uses belongs to the client that runs it. To be called after :meth:`end`.
        """
        clients: dict[str, str] = {}
        used: dict[str, set[str]] = defaultdict(set)
        runs = ""
        for line in self._lines:
            found = LINE.fullmatch(line)
            assert found, line
            database, address, text = found.groups()
            command, *words = shlex.split(text)
            command = command.upper()
            if command == "CLIENT" and words[0].upper() == "SETNAME":
                clients[address] = words[1]
            if address != "lua":
                runs = address
            if command not in OF_A_CONNECTION:
                # A client sends nothing else before it has said its name.
                used[clients[runs]].update(
                    f"channel {name}" if command in CHANNELS else f"{database} {name}"
                    for name in names_in(command, words)
                )
        return used


def names_in(command: str, words: list[str]) -> list[str]:
    if command in ("EVAL", "EVALSHA"):
        return words[2 : 2 + int(words[1])]
    return words if command in OF_SEVERAL_KEYS else words[:1]
