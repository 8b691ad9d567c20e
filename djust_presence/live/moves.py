"""Pointer moves for views that handle them by themselves: one hop a tick for all of a process."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ..hosts.threads import lanes, spawn
from .view import Update

if TYPE_CHECKING:
    from .consumer import LiveViewConsumer

__all__ = ["Moves", "moves_of_loop"]

TICK = 1 / 30
SLOW = 0.05  # seconds; a handler that took so long gets hops of its own


class Moves:
    """Whose views are to take in a move, of which each has its latest. On one loop.

    A hop takes what waits when it begins. A view that hangs holds up its own hop: what that was to take is taken
    over by another.
    """

    def __init__(self) -> None:
        self._waiting: dict[LiveViewConsumer, None] = {}
        self._queue: deque[LiveViewConsumer] = deque()  # they are begun
        self._hops = 0  # that are to take from it
        self._asking = False  # whether one of them has no lane yet
        self._going_on = False  # whether any of them has done something since the last tick
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
                    spawn(self._hop_alone(consumer))
                else:
                    self._queue.append(consumer)
        hanging = not self._asking and not self._going_on
        self._going_on = False
        if self._queue and (not self._hops or hanging):
            self._hops += 1
            self._asking = True
            spawn(self._hop())
        if self._waiting or self._queue:
            self._schedule()

    async def _hop(self) -> None:
        try:
            await lanes.run(partial(self._take_all, asyncio.get_running_loop()), refresh=True)
        finally:
            self._hops -= 1

    async def _hop_alone(self, consumer: LiveViewConsumer) -> None:
        await lanes.run(partial(_take_in, consumer, asyncio.get_running_loop()))

    def _take_all(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread."""
        self._asking, self._going_on = False, True
        for _ in range(len(self._queue)):
            try:
                consumer = self._queue.popleft()
            except IndexError:  # another hop was faster
                return
            _take_in(consumer, loop)
            self._going_on = True


def _take_in(consumer: LiveViewConsumer, loop: asyncio.AbstractEventLoop) -> None:
    """In a thread."""
    began, update = perf_counter(), Update()
    try:
        update = consumer.take_in_move()
    finally:
        consumer.slow = perf_counter() - began > SLOW
        loop.call_soon_threadsafe(consumer.end_move, update, context=Context())


_moves: WeakKeyDictionary[asyncio.AbstractEventLoop, Moves] = WeakKeyDictionary()


def moves_of_loop() -> Moves:
    """Those of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _moves:
        _moves[loop] = Moves()
    return _moves[loop]
