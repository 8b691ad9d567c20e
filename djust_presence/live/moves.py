"""Pointer moves for views that handle them by themselves: one hop a tick for all of a process."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from functools import partial
from time import perf_counter
from typing import Protocol
from weakref import WeakKeyDictionary

from ..hosts.threads import spawn
from ..hosts.turns import Sender
from ..hosts.workers import workers
from .code import Update


class Mover(Protocol):
    """A page whose view handles moves."""

    slow: bool

    @property
    def over(self) -> bool: ...
    @property
    def sender(self) -> Sender: ...
    def begin_turn(self) -> bool: ...
    def take_in_move(self) -> Update: ...
    def end_move(self, update: Update) -> None: ...


__all__ = ["Moves", "moves_of_loop"]

TICK = 1 / 30
SLOW = 0.05  # seconds; a page whose handler took longer gets hops of its own


class Moves:
    """The pages whose views have a move to handle, each its latest. On one loop.

    A hop takes the pages that wait when it begins. A view that hangs holds up its own hop; its other pages are
    taken over by another.
    """

    def __init__(self) -> None:
        self._waiting: dict[Mover, None] = {}
        self._queue: deque[Mover] = deque()  # pages whose turn has begun
        self._hops = 0  # hops that will take from it
        self._asking = False  # True while one of them waits for a worker
        self._going_on = False  # True if one of them has finished a page since the last tick
        self._timer: asyncio.Handle | None = None
        self._quiet_until = 0.0

    def add(self, page: Mover) -> None:
        self._waiting[page] = None
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._quiet_until), self._tick, context=Context())

    def _tick(self) -> None:
        self._timer = None
        self._quiet_until = asyncio.get_running_loop().time() + TICK
        for page in tuple(self._waiting):
            if page.over:
                del self._waiting[page]
            elif page.begin_turn():
                del self._waiting[page]
                if page.slow:
                    spawn(self._hop_alone(page))
                else:
                    self._queue.append(page)
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
            await workers.run(partial(self._take_all, asyncio.get_running_loop()), refresh=True)
        finally:
            self._hops -= 1

    async def _hop_alone(self, page: Mover) -> None:
        loop, begun = asyncio.get_running_loop(), False

        def take_in() -> None:
            nonlocal begun
            begun = True
            _take_in(page, loop)

        try:
            await workers.run(take_in, sender=page.sender)
        finally:
            if not begun:  # such as a failed check of the thread's database connection
                page.end_move(Update())

    def _take_all(self, loop: asyncio.AbstractEventLoop) -> None:
        """Handle moves until none waits, in a thread."""
        self._asking, self._going_on = False, True
        for _ in range(len(self._queue)):
            try:
                page = self._queue.popleft()
            except IndexError:  # another hop was faster
                return
            _take_in(page, loop)
            self._going_on = True


def _take_in(page: Mover, loop: asyncio.AbstractEventLoop) -> None:
    """Handle the move of *page*, in a thread."""
    began, update = perf_counter(), Update()
    try:
        update = page.take_in_move()
    finally:
        page.slow = perf_counter() - began > SLOW
        loop.call_soon_threadsafe(page.end_move, update, context=Context())


_moves: WeakKeyDictionary[asyncio.AbstractEventLoop, Moves] = WeakKeyDictionary()


def moves_of_loop() -> Moves:
    """Return the ones of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _moves:
        _moves[loop] = Moves()
    return _moves[loop]
