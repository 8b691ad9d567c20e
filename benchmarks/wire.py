"""The commands that a Redis or Valkey server is sent."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

from tests.servers import RedisServer

__all__ = ["Wire"]

LINE = re.compile(r'\+[\d.]+ \[\d+ (\S+)\] "(\w+)"')
OF_A_CONNECTION = {"AUTH", "CLIENT", "COMMAND", "HELLO", "INFO", "MONITOR", "PING", "SELECT"}


class Wire:
    """Listens to MONITOR while it is entered, which costs the server time. Scripts' own commands are left out."""

    def __init__(self, store: RedisServer) -> None:
        self._store = store
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        self._socket = socket.create_connection(("127.0.0.1", self._store.port), timeout=10)
        self._socket.sendall(b"MONITOR\r\n")
        if self._socket.recv(5) != b"+OK\r\n":
            raise ConnectionError("The store does not let itself be monitored.")
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        with self._socket.makefile(encoding="utf-8", errors="replace") as file:
            for line in file:
                self._lines.append(line)

    def take(self) -> Counter[str]:
        """Return the commands since the last time, by name, without those that only maintain a connection."""
        time.sleep(0.1)
        lines, self._lines = self._lines, []
        found = (LINE.match(line) for line in lines)
        names = (one[2].upper() for one in found if one and one[1] != "lua")
        return Counter(name for name in names if name not in OF_A_CONNECTION)
