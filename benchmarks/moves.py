"""Pointers that move, as each protocol says it: a mover's x is the number of its step, its y its own number."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from .receiving import Receiver

__all__ = ["SAID", "Moving"]


def varint(number: int) -> bytes:
    """A number as lib0 encodes it: seven bits in each byte, the lowest first."""
    found = bytearray()
    while number > 127:
        found.append(128 | number & 127)
        number >>= 7
    return bytes([*found, number])


def sized(data: bytes) -> bytes:
    return varint(len(data)) + data


def of_yjs(step: int, number: int) -> bytes:
    """An awareness message with one client's state, whose clock is the step (y-protocols, PROTOCOL.md)."""
    state = f'{{"cursor":{{"x":{step},"y":{number}}}}}'.encode()
    return varint(1) + sized(varint(1) + varint(number + 1) + varint(step + 1) + sized(state))


def of_socketio(step: int, number: int) -> str:
    return f'42["cursor",{{"x":{step},"y":{number}}}]'


def of_ours(step: int, number: int) -> str:
    return f'{{"type":"cursor","x":{step},"y":{number},"w":1280,"h":720}}'


NAMED = rb'"x":(\d+),"y":(\d+)'
# How a move is said in each protocol, and a regular expression for the moves in what comes: step and mover.
SAID: dict[str, tuple[Callable[[int, int], str | bytes], bytes]] = {
    "ours": (of_ours, rb"\[\d+, ?(\d+), ?(\d+), ?1280, ?720"),
    "naive": (of_ours, NAMED),
    "yjs": (of_yjs, NAMED),
    "socketio": (of_socketio, NAMED),
}


class Moving:
    """All sockets move *rate* times a second, spread over the time between, and see the others."""

    def __init__(self, sockets: Sequence[Any], protocol: str) -> None:
        self.sockets = sockets
        self.say, pattern = SAID[protocol]
        self.pattern = re.compile(pattern)
        self.sent: list[list[float]] = [[] for _ in sockets]  # by mover: when it was at each step
        self.at = [dict.fromkeys(range(len(sockets)), -1) for _ in sockets]  # by page: the last step of each
        self.delays: list[float] = []
        for number, socket in enumerate(sockets):
            socket.read = self._reader(number, socket)

    def _reader(self, page: int, socket: Receiver) -> Callable[[bytes], None]:
        at = self.at[page]

        def read(data: bytes) -> None:
            for found in self.pattern.finditer(data):
                step, number = int(found[1]), int(found[2])
                if number != page and number in at and step > at[number]:
                    at[number] = step
                    self.delays.append(socket.last - self.sent[number][step])

        return read

    async def run(self, rate: float, seconds: float) -> dict[str, Any]:
        """Move, and wait until all have seen where the others ended. Returns seconds, and what was sent a page."""
        frames = sum(socket.frames for socket in self.sockets)
        size = sum(socket.bytes for socket in self.sockets)
        began = time.perf_counter()
        await asyncio.gather(*(self._move(n, began, rate, seconds) for n in range(len(self.sockets))))
        deadline = time.perf_counter() + 15
        while self._missing() and time.perf_counter() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        taken = time.perf_counter() - began
        delays = sorted(self.delays) or [0.0]
        return {
            "p50": delays[len(delays) // 2],
            "p99": delays[len(delays) * 99 // 100],
            "rate": (sum(socket.frames for socket in self.sockets) - frames) / len(self.sockets) / taken,
            "traffic": (sum(socket.bytes for socket in self.sockets) - size) / len(self.sockets) / taken,
            "taken": taken,
            "missing": self._missing(),
        }

    def _missing(self) -> int:
        """Return how many last positions have not been seen."""
        return sum(
            step != len(self.sent[number]) - 1
            for page, at in enumerate(self.at)
            for number, step in at.items()
            if number != page
        )

    async def _move(self, number: int, began: float, rate: float, seconds: float) -> None:
        for step in range(round(rate * seconds)):
            await asyncio.sleep(
                max(0, began + (step + number / len(self.sockets)) / rate - time.perf_counter())
            )
            self.sent[number].append(time.perf_counter())
            await self.sockets[number].say(self.say(step, number))
