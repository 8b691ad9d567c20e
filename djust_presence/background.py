"""Threads for sync code, including that of async tasks that outlive the code that started them."""

from __future__ import annotations

import asyncio
import atexit
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext
from django.db import connections

from .forks import after_fork

__all__ = ["AFTERWARDS", "LONGEST_STOP", "Lasting", "Threads", "finish", "own_thread", "thread_of"]

T = TypeVar("T")

# Threads, and so database connections, that a process has for tasks that outlive the code that started them.
AFTERWARDS = 8
LONGEST_STOP = 5.0  # seconds that the end of the process waits for calls that are under way

_under_way: set[Future[Any]] = set()


class Threads(Executor):
    """Up to *size* threads, which start when they are needed. The process ends without waiting for them.

    Code in one may be waiting for a loop that has been stopped, for ever.
    """

    def __init__(self, name: str, size: int = 1) -> None:
        self._name, self._size = name, size
        self.reset()

    def reset(self) -> None:
        """Forget all threads and calls, in a forked child: they exist in its parent only."""
        self._lock = threading.Lock()
        self._started = 0
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    @property
    def started(self) -> bool:
        return self._started > 0

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    result = function(*args, **kwargs)
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)

        _under_way.add(future)
        future.add_done_callback(_under_way.discard)
        self._work.put(run)
        with self._lock:
            if self._started < self._size:
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
                self._started += 1
        return future

    def end(self) -> None:
        """Let the threads end once all submitted calls are done."""
        self._work.put(None)

    def _run(self) -> None:
        while work := self._work.get():
            work()
            del work  # and with it all that it refers to, while there is nothing to do
        self._work.put(None)  # for the next thread


def finish(timeout: float) -> None:
    """Wait, for *timeout* seconds at most, until all calls are done that any `Threads` have at this moment."""
    wait(set(_under_way), timeout)


after_fork(_under_way.clear)
atexit.register(finish, LONGEST_STOP)


class Afterwards(Threads):
    """The threads shared by all tasks that outlive the code that started them.

    No database connection stays open in them between two calls, which may run in different threads.
    """

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        waiting = AsyncToSync.loop_thread_executors.get(asyncio.get_running_loop())
        if waiting:
            # async_to_sync waits in a thread, such as that of a TestCase, and only that one sees its transaction.
            return waiting.submit(function, *args, **kwargs)
        return super().submit(_leaving_no_connection, function, *args, **kwargs)


_afterwards = Afterwards("djust_presence-afterwards", AFTERWARDS)
after_fork(_afterwards.reset)


class Lasting(CurrentThreadExecutor):
    """Runs calls on *first* while async_to_sync waits for that, and `Afterwards` those of tasks that go on longer.

    It is a CurrentThreadExecutor itself, so that an async_to_sync inside finds *first* behind it.
    """

    def __init__(self, first: CurrentThreadExecutor) -> None:
        super().__init__(first)
        over: Future[None] = Future()
        over.set_result(None)
        self.run_until_future(over)  # which begins with nothing waiting in it
        self._first = first

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        try:
            return self._first.submit(function, *args, **kwargs)
        except RuntimeError:  # *first* has ended
            return _afterwards.submit(function, *args, **kwargs)


@contextmanager
def thread_of(executor: Executor) -> Iterator[None]:
    """In this block thread-sensitive calls run on *executor*; those of tasks that outlive the block `Afterwards`."""
    context = ThreadSensitiveContext()
    SyncToAsync.context_to_thread_executor[context] = executor
    token = SyncToAsync.thread_sensitive_context.set(context)
    waiting = getattr(AsyncToSync.executors, "current", None)
    if waiting is not None:
        AsyncToSync.executors.current = None  # else it would be preferred
    try:
        yield
    finally:
        if waiting is not None:
            AsyncToSync.executors.current = waiting
        SyncToAsync.thread_sensitive_context.reset(token)
        SyncToAsync.context_to_thread_executor[context] = _afterwards


_leaving: set[Future[None]] = set()  # the last calls of threads whose block has ended
after_fork(_leaving.clear)


@asynccontextmanager
async def own_thread() -> AsyncIterator[None]:
    """Run async user code in this block, without a worker, as it may take long.

    Its thread-sensitive calls (the ORM) get a thread of their own on first use, as in an async view,
    and that thread leaves no database connection behind. A call of a task that goes on is not waited for, unless a
    process has too many such threads. Nor does the end of the process wait for it, as asgiref's own threads would.
    """
    if asyncio.get_running_loop() in AsyncToSync.loop_thread_executors:
        yield
        return
    thread = Threads("djust_presence-own")
    try:
        with thread_of(thread):
            yield
    finally:
        if thread.started:
            closed = thread.submit(connections.close_all)
            thread.end()
            _leaving.add(closed)
            closed.add_done_callback(_leaving.discard)
            if len(_leaving) > AFTERWARDS:
                await asyncio.wait([asyncio.wrap_future(closed)])


def _leaving_no_connection(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    try:
        return function(*args, **kwargs)
    finally:
        for connection in connections.all(initialized_only=True):
            connection.close()
            if connection.in_atomic_block:  # left so by the call, and the next call may be another visitor's
                del connections[connection.alias]
