"""The commands that a Redis or Valkey server is sent."""

from __future__ import annotations

import asyncio
import re
import shlex
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection
from types import TracebackType
from typing import Self

from tests.servers import RedisServer

__all__ = ["OF_A_CONNECTION", "Monitor"]

LINE = re.compile(r"\+\d+\.\d+ \[(\d+) (\S+)\] (.*)")
CONNECTING = {"CLIENT", "HELLO", "SELECT"}
OF_A_CONNECTION = CONNECTING | {"AUTH", "COMMAND", "INFO", "MONITOR", "PING"}
WITHOUT_NAMES = OF_A_CONNECTION | {"SCRIPT", "TIME"}
CHANNELS = {"PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"}
OF_SEVERAL_KEYS = {"DEL", "EXISTS", "SUBSCRIBE", "UNLINK", "UNSUBSCRIBE"}
DELAY = 0.1  # seconds after which a command that was sent has been reported


class Monitor:
    """Listens to MONITOR, which costs the server time, until it is left or ended.

    Commands in *ignored* are not counted.
    """

    def __init__(self, redis: RedisServer, ignored: Collection[str] = CONNECTING) -> None:
        self._redis = redis
        self._ignored = ignored
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        self._socket = socket.create_connection(("127.0.0.1", self._redis.port), timeout=10)
        self._socket.sendall(b"MONITOR\r\n")
        if self._socket.recv(5) != b"+OK\r\n":
            raise ConnectionError("The server does not let itself be monitored.")
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Stop listening."""
        if self._thread.is_alive():
            # Only this half: the server closes its own, and its last lines are no error.
            self._socket.shutdown(socket.SHUT_WR)
            self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        with self._socket.makefile(encoding="utf-8", errors="replace") as file:
            for line in file:
                self._lines.append(line.rstrip("\r\n"))

    def take(self) -> Counter[str]:
        """Return the commands of clients since the last time, by name; those that scripts run are left out."""
        time.sleep(DELAY)
        return self._take()

    async def atake(self) -> Counter[str]:
        """Do the same while the loop runs on."""
        await asyncio.sleep(DELAY)
        return self._take()

    def _take(self) -> Counter[str]:
        lines, self._lines = self._lines, []
        found = (LINE.fullmatch(line) for line in lines)
        names = (one[3].split('"', 2)[1].upper() for one in found if one and one[2] != "lua")
        return Counter(name for name in names if name not in self._ignored)

    def names(self) -> dict[str, set[str]]:
        """Return the keys, each with its database, and the channels that the clients of each name have used.

        The names in a script belong to the client that runs it. Call this after `end`. Clients that were connected
        before the monitor have no name.
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
            if command not in WITHOUT_NAMES:
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
