"""Worker threads for sync user code and rendering, and what surrounds a request, carried over to them."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from dataclasses import dataclass
from datetime import tzinfo
from enum import Enum, auto
from typing import Any, TypeVar

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections
from django.urls import get_script_prefix, get_urlconf, set_script_prefix, set_urlconf
from django.utils import timezone, translation

from ..forks import after_fork

__all__ = ["LANES", "Ambient", "Lanes", "lanes", "own_thread", "spawn"]

T = TypeVar("T")

# As many database connections does a process hold for its live pages, however many these are.
LANES = 8
REFRESH_PATIENCE = 0.1  # seconds


class Turn(Enum):
    """The order in which work gets a free lane."""

    REFRESH = auto()  # if no other refresh runs: side by side they would only fight for the interpreter
    LATE_REFRESH = auto()  # any: what holds the lanes up is waiting for something else
    MOUNT = auto()  # all but the last one: what hangs keeps no refresh waiting
    HANDLER = auto()  # the same, after pages that open: these wait for one handler at most, not for all


class Lanes:
    """A few persistent threads, each of them lent to one piece of work at a time. For any loop."""

    def __init__(self, size: int = LANES) -> None:
        self._size = size
        self.reset()

    def reset(self) -> None:
        """Forget all threads, as a forked child must: they have stayed in its parent."""
        self._lock = threading.Lock()
        self._lanes = [ThreadPoolExecutor(1, f"djust_presence-{n}") for n in range(self._size)]
        self._free = self._lanes[::-1]
        self._refreshing: ThreadPoolExecutor | None = None
        self._waiting: dict[Turn, deque[Future[ThreadPoolExecutor]]] = {turn: deque() for turn in Turn}

    @asynccontextmanager
    async def hold(self, turn: Turn = Turn.MOUNT) -> AsyncIterator[None]:
        """Thread-sensitive calls in this block run on one lane, and nobody else's do meanwhile."""
        if asyncio.get_running_loop() in AsyncToSync.loop_thread_executors:
            # async_to_sync waits in the thread of a TestCase, say, and only that one sees its transaction.
            with _connections_kept():
                yield
            return
        lane = await (self._acquire_for_refresh() if turn is Turn.REFRESH else self._acquire(turn))
        try:
            async with ThreadSensitiveContext(executor=lane):
                yield
        except asyncio.CancelledError:
            # The thread may still be at what was cancelled: a lane is free when it has come through this.
            lane.submit(_nothing).add_done_callback(lambda done: self._release(lane))
            raise
        except BaseException:
            self._release(lane)
            raise
        self._release(lane)

    async def run(self, function: Callable[[], T], *, refresh: bool = False) -> T:
        """Return the result of sync *function* on a lane, with database connections checked as around a request."""
        async with self.hold(Turn.REFRESH if refresh else Turn.HANDLER):
            return await sync_to_async(_between_connection_checks)(function)

    async def idle(self) -> None:
        """Wait until all is done that any lane has been given by now."""
        await asyncio.gather(*(asyncio.wrap_future(lane.submit(_nothing)) for lane in self._lanes))

    async def _acquire_for_refresh(self) -> ThreadPoolExecutor:
        try:
            async with asyncio.timeout(REFRESH_PATIENCE):
                return await self._acquire(Turn.REFRESH)
        except TimeoutError:
            return await self._acquire(Turn.LATE_REFRESH)

    async def _acquire(self, turn: Turn) -> ThreadPoolExecutor:
        waiter: Future[ThreadPoolExecutor] = Future()
        with self._lock:
            self._waiting[turn].append(waiter)
            self._serve()
        try:
            return await asyncio.wrap_future(waiter)
        except asyncio.CancelledError:
            if not waiter.cancel():
                self._release(waiter.result())
            raise

    def _release(self, lane: ThreadPoolExecutor) -> None:
        with self._lock:
            if lane is self._refreshing:
                self._refreshing = None
            self._free.append(lane)
            self._serve()

    def _serve(self) -> None:
        for turn, waiting in self._waiting.items():
            while waiting and self._may_take(turn):
                waiter = waiting.popleft()
                if waiter.set_running_or_notify_cancel():
                    lane = self._free.pop()
                    if turn is Turn.REFRESH:
                        self._refreshing = lane
                    waiter.set_result(lane)

    def _may_take(self, turn: Turn) -> bool:
        match turn:
            case Turn.REFRESH:
                return bool(self._free) and self._refreshing is None
            case Turn.LATE_REFRESH:
                return bool(self._free)
            case Turn.MOUNT | Turn.HANDLER:
                return len(self._free) > 1


lanes = Lanes()
after_fork(lanes.reset)


def _nothing() -> None:
    pass


def _between_connection_checks(function: Callable[[], T]) -> T:
    _check_connections()
    try:
        return function()
    finally:
        _check_connections()


_keepers = 0


@contextmanager
def _connections_kept() -> Iterator[None]:
    """No request ends a TestCase's transaction: what Django's test client does around each of its own."""
    global _keepers
    signals = (request_started, request_finished)
    _keepers += 1
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        _keepers -= 1
        if not _keepers:
            for signal in signals:
                signal.connect(close_old_connections)


def _check_connections() -> None:
    """Do what ``close_old_connections`` does, but for a transaction that is open by now: it is a TestCase's."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


@asynccontextmanager
async def own_thread() -> AsyncIterator[None]:
    """For async user code, which may take its time and so holds no lane.

    Its thread-sensitive calls (the ORM) get a thread of their own if there are any, as in an async view,
    and that thread leaves no database connection behind.
    """
    if asyncio.get_running_loop() in AsyncToSync.loop_thread_executors:
        yield
        return
    async with ThreadSensitiveContext() as context:
        try:
            yield
        finally:
            if context in SyncToAsync.context_to_thread_executor:
                await sync_to_async(connections.close_all)()


# Tasks that nobody else holds on to: a handler, for one, runs to its end though the page is gone.
_tasks: set[asyncio.Task[None]] = set()


def spawn(work: Coroutine[Any, Any, None], *, at_once: bool = False) -> asyncio.Task[None]:
    """Run *work* in an empty context, so that nothing of one visitor's language or caches gets to another.

    With *at_once* it is run before this returns, as far as it does not wait, where Python can (3.12 and later).
    """
    loop = asyncio.get_running_loop()
    if at_once and sys.version_info >= (3, 12):
        task = asyncio.Task(work, loop=loop, context=Context(), eager_start=True)
    else:
        task = loop.create_task(work, context=Context())
    if not task.done():
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
    return task


@dataclass(frozen=True, slots=True)
class Ambient:
    """The settings of middleware around a request, to be restored when its view renders later."""

    language: str | None
    zone: tzinfo
    urlconf: str | None
    script_prefix: str

    @classmethod
    def capture(cls) -> Ambient:
        return cls(
            translation.get_language(), timezone.get_current_timezone(), get_urlconf(), get_script_prefix()
        )

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Inside this block everything is as it was captured; afterwards it is as before."""
        urlconf, script_prefix = get_urlconf(), get_script_prefix()
        with translation.override(self.language), timezone.override(self.zone):
            set_urlconf(self.urlconf)
            set_script_prefix(self.script_prefix)
            try:
                yield
            finally:
                set_urlconf(urlconf)
                set_script_prefix(script_prefix)
