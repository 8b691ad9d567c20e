"""The few worker threads on which sync code of live pages runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from asgiref.sync import AsyncToSync, sync_to_async
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections

from ..background import Threads, thread_of
from ..forks import after_fork
from .turns import Ask, Crowded, Sender, Turn, Turns

__all__ = ["WORKERS", "Workers", "workers"]

T = TypeVar("T")

# A process holds at most so many database connections for its live pages, however many these are.
WORKERS = 8
REFRESH_WAIT = 0.1  # seconds
MANY = Sender()


class WorkerAsk(Ask):
    """A request for a worker, and the worker that it got."""

    __slots__ = ("granted", "worker")

    def __init__(self, turn: Turn, sender: Sender) -> None:
        super().__init__(turn, sender)
        self.worker: Threads | None = None
        self.granted: Future[None] | None = None  # set if it has to wait

    def grant(self, worker: Threads) -> None:
        self.worker = worker
        if self.granted and self.granted.set_running_or_notify_cancel():
            self.granted.set_result(None)

    def refuse(self) -> None:
        if self.granted and self.granted.set_running_or_notify_cancel():
            self.granted.set_exception(Crowded())


class Workers:
    """A few persistent worker threads, each of them lent to one piece of work at a time. For any loop."""

    def __init__(self, size: int = WORKERS) -> None:
        self._size = size
        self.reset()

    def reset(self) -> None:
        """Forget all threads, in a forked child: they exist in its parent only."""
        self._lock = threading.Lock()
        self._workers = [Threads(f"djust_presence-{n}") for n in range(self._size)]
        self._free = self._workers[::-1]
        self._turns: Turns[WorkerAsk] = Turns(self._size)

    @asynccontextmanager
    async def hold(self, turn: Turn = Turn.MOUNT, sender: Sender = MANY) -> AsyncIterator[None]:
        """Run thread-sensitive calls of this block on one worker, which nothing else uses meanwhile.

        Raises ``Crowded`` for a mount, if too many of them wait.
        """
        if asyncio.get_running_loop() in AsyncToSync.loop_thread_executors:
            # async_to_sync waits in a thread, such as that of a TestCase, and only that one sees its transaction.
            with connections_kept():
                yield
            return
        ask = await (
            self._acquire_for_refresh(sender) if turn is Turn.REFRESH else self._acquire(turn, sender)
        )
        worker = ask.worker
        assert worker is not None
        try:
            with thread_of(worker):
                yield
        except asyncio.CancelledError:
            # The thread may still run the cancelled call: the worker is free when the thread has run this one too.
            worker.submit(_nothing).add_done_callback(lambda done: self._release(ask))
            raise
        except BaseException:
            self._release(ask)
            raise
        self._release(ask)

    async def run(self, function: Callable[[], T], *, refresh: bool = False, sender: Sender = MANY) -> T:
        """Return the result of sync *function* on a worker, with database connections checked as around a request."""
        async with self.hold(Turn.REFRESH if refresh else Turn.HANDLER, sender):
            return await _between_connection_checks(function)

    async def idle(self) -> None:
        """Wait until all calls are done that any worker has at this moment."""
        await asyncio.gather(*(asyncio.wrap_future(worker.submit(_nothing)) for worker in self._workers))

    async def _acquire_for_refresh(self, sender: Sender) -> WorkerAsk:
        try:
            async with asyncio.timeout(REFRESH_WAIT):
                return await self._acquire(Turn.REFRESH, sender)
        except TimeoutError:
            return await self._acquire(Turn.LATE_REFRESH, sender)

    async def _acquire(self, turn: Turn, sender: Sender) -> WorkerAsk:
        ask = WorkerAsk(turn, sender)
        with self._lock:
            if (refused := self._turns.add(ask)) is not None:
                if refused is ask:
                    raise Crowded
                refused.refuse()
            self._serve()
            if ask.worker is None:
                ask.granted = Future()
        if ask.granted is None:
            return ask
        try:
            await asyncio.wrap_future(ask.granted)
        except asyncio.CancelledError:
            with self._lock:
                if not (granted := ask.worker is not None):
                    self._turns.remove(ask)
            if granted:
                self._release(ask)
            raise
        return ask

    def _release(self, ask: WorkerAsk) -> None:
        assert ask.worker is not None
        with self._lock:
            self._free.append(ask.worker)
            self._turns.release(ask)
            self._serve()

    def _serve(self) -> None:
        while (ask := self._turns.next()) is not None:
            ask.grant(self._free.pop())


workers = Workers()
after_fork(workers.reset)


def between_connection_checks(function: Callable[[], T]) -> T:
    """Return the result of *function*, with database connections checked before and after it, as around a request."""
    _check_connections()
    try:
        return function()
    finally:
        _check_connections()


_between_connection_checks = sync_to_async(between_connection_checks)
_keepers = 0


@contextmanager
def connections_kept() -> Iterator[None]:
    """Keep requests in this block from ending a TestCase's transaction, as Django's test client does."""
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
    """Do what ``close_old_connections`` does, but spare a connection in a transaction, which is a TestCase's."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _nothing() -> None:
    pass
