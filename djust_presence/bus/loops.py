"""Lasting loops for code that has none, so that connections of the channel layer last too."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from selectors import BaseSelector, DefaultSelector
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import SyncToAsync, async_to_sync
from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import BaseChannelLayer, channel_layers

from ..forks import after_fork, before_fork

__all__ = ["end_loops", "run"]

P = ParamSpec("P")
T = TypeVar("T")

IDLE = 60.0  # seconds: a connection that was idle for longer may be dead without notice


class KeptLoop(asyncio.SelectorEventLoop):
    """An event loop that can be closed while the process ends, when Python 3.12 starts no thread to wait in."""

    def __init__(self, selector: BaseSelector) -> None:
        super().__init__(selector)
        self._lookups = ThreadPoolExecutor()  # of host names; it has no thread before there is one
        self.set_default_executor(self._lookups)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._lookups.shutdown()


class Loop:
    """A loop that runs in whatever thread has something to send, and is connected to *layer*."""

    def __init__(self) -> None:
        self._selector = DefaultSelector()
        self.runner = asyncio.Runner(loop_factory=self._make)
        self._wakers: frozenset[int] = frozenset()  # by which other threads wake the loop
        self.layer: BaseChannelLayer | None = None
        self.used_at = 0.0

    def _make(self) -> asyncio.AbstractEventLoop:
        loop = KeptLoop(self._selector)
        self._wakers = frozenset(key.fd for key in self._selector.get_map().values())
        return loop

    def suits(self) -> bool:
        """Return whether the layer is still the same, and its connections seem to be open.

        Nothing but its end can arrive on a connection that only sends: one that is readable has been closed.
        """
        return self.layer is _layer() and not self.is_idle() and not self._has_ended()

    def _has_ended(self) -> bool:
        return any(key.fd not in self._wakers for key, _ in self._selector.select(0))

    def is_idle(self) -> bool:
        return time.monotonic() >= self.used_at + IDLE

    def end(self) -> None:
        """Close the loop and its connections."""
        if _is_running():  # asyncio does not run a second loop in a thread: close it in another one
            thread = threading.Thread(target=self.runner.close)
            thread.start()
            thread.join()
        else:
            self.runner.close()


_free: deque[Loop] = deque()  # the one used last is on the right


def run(function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await *function* for a thread without a running loop, and return its result.

    If an event loop is waiting for this thread, as an ASGI server's does during a sync view, *function* runs
    there. Otherwise it runs in this thread, on a loop that is kept, with its connections, for the next call.
    """
    # async_to_sync uses the waiting loop. If this very thread runs a loop, it raises an error that says so.
    if _is_running() or _is_waited_for():
        return async_to_sync(function)(*args, **kwargs)
    loop = _take()
    try:
        result = loop.runner.run(function(*args, **kwargs), context=contextvars.copy_context())
    except BaseException:
        loop.end()  # the connection may be what is broken, and a signal leaves a task behind
        raise
    loop.layer, loop.used_at = _layer(), time.monotonic()
    _free.append(loop)
    _end_idle()
    return result


def _take() -> Loop:
    while loop := _one(_free.pop):
        if loop.suits():
            return loop
        loop.end()
    return Loop()


def _end_idle() -> None:
    # Look at the oldest loop without taking it out: a thread that found none meanwhile would make another.
    while (first := _one(lambda: _free[0])) and first.is_idle():
        if loop := _one(_free.popleft):
            loop.end()


def end_loops() -> None:
    """Close all connections that no thread is using."""
    while loop := _one(_free.pop):
        loop.end()


def _one(get: Callable[[], Loop]) -> Loop | None:
    """Return the free loop that *get* finds, or None if there is none."""
    try:
        return get()
    except IndexError:  # all loops are in use
        return None


def _layer() -> BaseChannelLayer | None:
    found: BaseChannelLayer | None = channel_layers.backends.get(DEFAULT_CHANNEL_LAYER)
    return found


def _is_running() -> bool:
    """Return whether this thread has a running loop; under gevent, whether any of its greenlets has."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _is_waited_for() -> bool:
    """Return whether async_to_sync would find a loop that waits for this thread."""
    loop: asyncio.AbstractEventLoop | None = getattr(SyncToAsync.threadlocal, "main_event_loop", None)
    process: int | None = getattr(SyncToAsync.threadlocal, "main_event_loop_pid", None)
    return process == os.getpid() and loop is not None and not loop.is_closed()


def _forget() -> None:
    _of_parent.extend(_free)
    _free.clear()


# A forked child shares its parent's open selectors and sockets, so free loops are ended before a fork. One
# that another thread has put back since is kept here in the child: even garbage collection would close it,
# and so disturb the parent.
_of_parent: list[Loop] = []
before_fork(end_loops)
after_fork(_forget)
atexit.register(end_loops)
