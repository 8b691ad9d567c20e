"""A page of a host, as the contract opens, calls and closes it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

__all__ = ["BOUND", "HostPage"]

BOUND = 20.0  # seconds that a page is waited for
SETTLED = "settled"  # a broadcast that arrives after everything that was sent before it


class HostPage(ABC):
    """A page, or another kind of client, with one connection. Subclass it for your host.

    Its view reports each callback to it: :meth:`receive` appends ``("join", record)``, ``("leave", record)``,
    ``("update", record)`` or ``("event", name, payload)`` to ``told``.
    """

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.online: int | None = None  # the count that it shows
        self.received = ""  # all text that it got from the server

    @abstractmethod
    async def open(self) -> None:
        """Open it as a browser does; return when it is live."""

    @abstractmethod
    async def close(self, lost: bool = False) -> None:
        """End its connection, as a browser that leaves the page or a broken network does. A second call does nothing."""

    @abstractmethod
    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Let its view call this method of its presence; return the result, after a round trip through JSON.

        A host whose methods take a key adds it.
        """

    @abstractmethod
    async def receive(self) -> None:
        """Wait for the next message of the server, and add it to ``told``, ``online`` and ``received``."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def changes(self) -> list[tuple[str, str]]:
        """The joins, leaves and updates that it was told of, each with the name of the user."""
        return [(kind, rest[0]["name"]) for kind, *rest in self.told if kind != "event"]

    @property
    def events(self) -> list[tuple[str, Any]]:
        """The names and payloads of the broadcasts that it was told of."""
        return [(rest[0], rest[1]) for kind, *rest in self.told if kind == "event" and rest[0] != SETTLED]

    async def until_told(self, kind: str, name: str, times: int = 1) -> None:
        """Wait until it was told *times* times of a change of the user *name*."""
        await self._until(lambda: self.changes.count((kind, name)) >= times, f"{kind} of {name}")

    async def until_event(self, name: str, payload: Any) -> None:
        await self._until(lambda: (name, payload) in self.events, f"event {name}")

    async def until_online(self, count: int) -> None:
        """Wait until it shows this number."""
        await self._until(lambda: self.online == count, f"{count} online")

    async def until_present(self, *expected: tuple[str, int]) -> list[dict[str, Any]]:
        """Wait until it lists these names, each with its number of connections; return the records."""
        records: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(BOUND):
                while [(one["name"], one["connections"]) for one in records] != list(expected):
                    await asyncio.sleep(0.02)
                    records = await self.call("list_presences")
        except TimeoutError:
            raise AssertionError(f"It lists {records}, not {expected}, after {BOUND} s.") from None
        assert await self.call("presence_count") == len(records)
        return records

    async def settle(self) -> None:
        """Wait until it was told of everything that has happened in its group before."""
        before = len(self.told)
        await self.call("broadcast_to_presence", SETTLED)
        await self._until(lambda: ("event", SETTLED) in [one[:2] for one in self.told[before:]], SETTLED)

    async def _until(self, condition: Callable[[], object], what: str) -> None:
        try:
            async with asyncio.timeout(BOUND):
                while not condition():
                    await self.receive()
        except TimeoutError:
            raise AssertionError(
                f"No {what} after {BOUND} s. It was told {self.told}, and shows {self.online} online."
            ) from None
