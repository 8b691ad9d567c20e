"""The time and the tasks of one event loop, for all parts of a tracker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from math import inf
from typing import Any, ParamSpec, TypeVar

from ..rates import LogLimit
from ..tasks import start

__all__ = ["Alarm", "Clock"]

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("djust_presence")

_errors = LogLimit(burst=10, by_error=True)


class Clock:
    """The clock of the running loop. Its calls and tasks do not inherit the caller's context (language, connections)."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def now(self) -> float:
        """Seconds, monotonic."""
        return self.loop.time()

    def call(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call *function* on the loop: at once if this is it. From any thread."""
        try:
            here = asyncio.get_running_loop() is self.loop
        except RuntimeError:
            here = False
        if here:
            function(*args, **kwargs)
            return
        try:
            self.loop.call_soon_threadsafe(lambda: function(*args, **kwargs), context=Context())
        except RuntimeError:
            if not self.loop.is_closed():  # a closed loop has no sessions
                raise

    def later(self, delay: float, function: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call *function* in *delay* seconds."""
        return self.loop.call_later(delay, function, *args, context=Context())

    def spawn(self, run: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task, held until it is done. Its error is logged."""
        task = start(run, Context())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or not (error := task.exception()):
            return
        _errors.log(logger.error, "Unexpected error in presence tracking.", exc_info=error)

    def supervise(self, run: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Start a task that begins again after an error."""
        return self.spawn(_supervised(run))

    async def wait(self) -> None:
        """Return when all tasks are done."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _supervised(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            return await run()
        except Exception:
            _errors.log(logger.exception, "Unexpected error in presence tracking; it goes on.")
            await asyncio.sleep(1)


class Alarm:
    """Calls *function* on the loop of *clock*, at the earliest of the times it was set to."""

    def __init__(self, clock: Clock, function: Callable[[], object]) -> None:
        self._clock = clock
        self._function = function
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due: float) -> None:
        """Call the function at *due* (infinity: never), unless an earlier time is set."""
        if self._timer and self._timer.when() > due:
            self.stop()
        if self._timer is None and due < inf:
            self._timer = self._clock.later(due - self._clock.now, self._go_off)

    def stop(self) -> None:
        """Unset the time."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _go_off(self) -> None:
        self._timer = None
        self._function()
