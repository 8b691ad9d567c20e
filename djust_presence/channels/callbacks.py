"""Calls a consumer's callbacks as Channels calls its handlers, one at a time."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import Any

from channels.consumer import SyncConsumer
from channels.db import aclose_old_connections, database_sync_to_async

from ..calls import awaited, call
from ..hosts.old_connections import check_is_due, check_next_time
from ..rates import user_code
from ..tasks import start

__all__ = ["Callbacks"]

logger = logging.getLogger("djust_presence")


class Callbacks:
    """The callbacks of *consumer*, in order, never beside another callback or a handler of it.

    Made in the task of the consumer. They run in a copy of its context, and so in the language that it has activated.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._context = copy_context()
        self._waiting: deque[Callable[[], Awaitable[None]]] = deque()
        self._stopped = False
        self._turn = asyncio.Lock()  # whose holder may run the consumer's code
        self.lost: Exception | None = None  # the error of the last send to a socket that is gone
        self.task: asyncio.Task[None] | None = None  # while callbacks wait or run

    @asynccontextmanager
    async def handler(self) -> AsyncIterator[None]:
        """Keep callbacks waiting in this block, in which the consumer's task runs a handler."""
        async with self._turn:
            try:
                yield
            finally:
                self._context = copy_context()

    def put(self, run: Callable[[], Awaitable[None]], *, first: bool = False) -> None:
        """Run *run*, which never raises, when its turn comes, or with *first* before all others that wait."""
        if self._stopped:
            return
        if first:
            self._waiting.appendleft(run)
        else:
            self._waiting.append(run)
        if self.task is None:
            self.task = start(self._run(), self._context.copy())

    async def _run(self) -> None:
        try:
            while self._waiting:
                async with self._turn:
                    if self._waiting:  # they may have been stopped meanwhile
                        await self._waiting.popleft()()
                if self._waiting:
                    await asyncio.sleep(0)  # let other consumers in
        finally:
            self.task = None

    async def tell(self, callback: Callable[..., Any], arguments: Callable[[], Sequence[Any]]) -> None:
        """Call *callback* with the result of *arguments*; an error of either is logged."""
        try:
            await self.call(callback, *arguments())
        except Exception as error:
            name = str(getattr(callback, "__qualname__", callback))
            if error is self.lost:
                logger.debug("A socket is gone.", exc_info=True)
            else:
                user_code.log(logger.exception, "%s failed.", name, of=name)

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what sync or async *function* returns, called as Channels calls the consumer's handlers.

        That is in the thread of sync consumers, or on the loop. The caller must have the turn.
        """
        if isinstance(self._consumer, SyncConsumer):
            return await database_sync_to_async(call)(function, *args)
        if check_is_due():
            await aclose_old_connections()
        try:
            result = function(*args)
            return await awaited(result) if inspect.isawaitable(result) else result
        except Exception:
            check_next_time()
            raise

    def stop(self) -> None:
        """Drop the callbacks that wait. One that runs goes on."""
        self._stopped = True
        self._waiting.clear()

    def cancel(self) -> None:
        """Cancel a callback that still runs, as the consumer has ended."""
        self.stop()
        if self.task:
            self.task.cancel()
