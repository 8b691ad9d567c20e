"""Pointer moves for views that handle them by themselves: one hop a tick for all of a process."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from .threads import lanes, spawn

if TYPE_CHECKING:
    from .consumer import LiveViewConsumer

__all__ = ["Moves", "moves_of_loop"]

TICK = 1 / 30
SLOW = 0.05  # seconds; a handler that took so long gets hops of its own


class Moves:
    """Whose views are to take in a move, of which each has its latest. On one loop.

    A view that hangs holds up its own hop: the others of that hop are taken over by the next.
    """

    def __init__(self) -> None:
        self._waiting: dict[LiveViewConsumer, None] = {}
        self._queue: deque[LiveViewConsumer] = deque()  # they are begun
        self._asking = False  # whether a hop has no lane yet
        self._timer: asyncio.Handle | None = None
        self._quiet_until = 0.0

    def add(self, consumer: LiveViewConsumer) -> None:
        self._waiting[consumer] = None
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._quiet_until), self._tick, context=Context())

    def _tick(self) -> None:
        self._timer = None
        self._quiet_until = asyncio.get_running_loop().time() + TICK
        for consumer in tuple(self._waiting):
            if consumer.over:
                del self._waiting[consumer]
            elif consumer.begin():
                del self._waiting[consumer]
                if consumer.slow:
                    spawn(self._hop(deque([consumer]), refresh=False))
                else:
                    self._queue.append(consumer)
        if self._queue and not self._asking:
            self._asking = True
            spawn(self._hop(self._queue, refresh=True))
        if self._waiting or self._queue:
            self._schedule()

    async def _hop(self, queue: deque[LiveViewConsumer], refresh: bool) -> None:
        try:
            await lanes.run(
                partial(self._take_in, queue, refresh, asyncio.get_running_loop()), refresh=refresh
            )
        finally:
            if refresh:
                self._asking = False

    def _take_in(self, queue: deque[LiveViewConsumer], shared: bool, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread."""
        if shared:
            self._asking = False
        while queue:
            try:
                consumer = queue.popleft()
            except IndexError:  # another hop was faster
                return
            began = perf_counter()
            update = consumer.take_in_move()
            consumer.slow = perf_counter() - began > SLOW
            loop.call_soon_threadsafe(consumer.end_move, update, context=Context())


_moves: WeakKeyDictionary[asyncio.AbstractEventLoop, Moves] = WeakKeyDictionary()


def moves_of_loop() -> Moves:
    """Those of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _moves:
        _moves[loop] = Moves()
    return _moves[loop]
