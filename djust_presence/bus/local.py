"""The bus inside a process, between its loops."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable

from ..forks import after_fork
from .base import Bus, Item, Receiver

__all__ = ["LocalBus"]


class LocalBus(Bus):
    """Connects the loops of this process, for a backend that no other process sees."""

    _listening: dict[str, set[LocalBus]] = {}
    _lock = threading.Lock()

    def __init__(self, receive: Receiver) -> None:
        super().__init__(receive)
        self._loop = asyncio.get_running_loop()

    def subscribe(self, key: str, ready: Callable[[], None]) -> None:
        with self._lock:
            self._listening.setdefault(key, set()).add(self)
        ready()

    def unsubscribe(self, key: str) -> None:
        with self._lock:
            listening = self._listening.get(key, set())
            listening.discard(self)
            if not listening:
                self._listening.pop(key, None)

    def publish(self, key: str, items: list[Item]) -> None:
        self.send(key, items, without=self)

    @classmethod
    def send(cls, key: str, items: list[Item], without: LocalBus | None = None) -> None:
        """Send *items* to the buses that serve *key*, except *without*. For any thread, with or without a loop."""
        with cls._lock:
            listening = cls._listening.get(key, set()) - {without}
        for bus in listening:
            bus.deliver(key, items)

    def deliver(self, key: str, items: list[Item]) -> None:
        """Pass *items* to this bus's receiver, on its loop. For any thread."""
        try:
            self._loop.call_soon_threadsafe(self._receive, key, items, context=contextvars.Context())
        except RuntimeError:  # the loop has been closed
            self.unsubscribe(key)

    async def aclose(self) -> None:
        with self._lock:
            keys = [key for key, listening in self._listening.items() if self in listening]
        for key in keys:
            self.unsubscribe(key)

    @classmethod
    def forget(cls) -> None:
        """Start empty in a forked child, which has none of the parent's loops and cannot release its lock."""
        cls._listening, cls._lock = {}, threading.Lock()


after_fork(LocalBus.forget)
