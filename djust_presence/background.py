"""Threads for the sync code of async tasks that outlive what has started them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext
from django.db import connections

__all__ = ["Afterwards", "Lasting", "thread_of"]

T = TypeVar("T")


class Afterwards(Executor):
    """A thread of its own, which begins when it is needed. No database connection stays open in it between two calls."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None  # ends when nobody holds this any more

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        waiting = AsyncToSync.loop_thread_executors.get(asyncio.get_running_loop())
        if (
            waiting
        ):  # async_to_sync waits in the thread of a TestCase, say, and only that one sees its transaction
            return waiting.submit(function, *args, **kwargs)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "djust_presence-afterwards")
        return self._thread.submit(_leaving_no_connection, function, *args, **kwargs)


class Lasting(CurrentThreadExecutor):
    """Does as *first* while async_to_sync waits for that. For tasks that go on when it is over it is `Afterwards`.

    It is one of its kind, so that async_to_sync within finds *first* behind it.
    """

    def __init__(self, first: CurrentThreadExecutor) -> None:
        super().__init__(first)
        over: Future[None] = Future()
        over.set_result(None)
        self.run_until_future(over)  # nothing waits in it
        self._first = first
        self._afterwards = Afterwards()

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        try:
            return self._first.submit(function, *args, **kwargs)
        except RuntimeError:  # it is over
            return self._afterwards.submit(function, *args, **kwargs)


@contextmanager
def thread_of(executor: Executor) -> Iterator[None]:
    """In this block thread-sensitive calls run on *executor*; those of tasks that outlive the block `Afterwards`."""
    context = ThreadSensitiveContext()
    SyncToAsync.context_to_thread_executor[context] = executor
    token = SyncToAsync.thread_sensitive_context.set(context)
    waiting = getattr(AsyncToSync.executors, "current", None)
    AsyncToSync.executors.current = None  # it would go first
    try:
        yield
    finally:
        AsyncToSync.executors.current = waiting
        SyncToAsync.thread_sensitive_context.reset(token)
        SyncToAsync.context_to_thread_executor[context] = Afterwards()


def _leaving_no_connection(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    try:
        return function(*args, **kwargs)
    finally:
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close()
