"""The signals for writes of this process to the store: sent in order, without delaying the writer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, NamedTuple

from asgiref.sync import AsyncToSync, sync_to_async
from django.db import close_old_connections
from django.dispatch import Signal
from django.utils.translation import gettext

from ..background import own_thread
from ..calls import awaited
from ..rates import LogLimit, user_code
from ..signals import Presence, presence_joined, presence_left, presence_updated
from ..state.records import Change, Member, StepKind, record

__all__ = ["News", "Signalling", "asend", "news_of", "send"]

logger = logging.getLogger("djust_presence")

MOST_WAITING = 100_000  # signals of a process; receivers that are too slow for more lose the rest
RECEIVERS_WAIT = 5.0  # seconds that the end of a process waits for receivers

SIGNALS = {StepKind.JOIN: presence_joined, StepKind.LEAVE: presence_left, StepKind.UPDATE: presence_updated}


class News(NamedTuple):
    """One signal to be sent."""

    signal: Signal
    key: str
    user: str
    member: Member

    @property
    def arguments(self) -> dict[str, Any]:
        return {"key": self.key, "presence": record(self.user, self.member, gettext("Guest"))}


def news_of(changes: Iterable[Change]) -> list[News]:
    """Return the signals to send for *changes*, in order; none if there are no receivers."""
    heard = {what: signal for what, signal in SIGNALS.items() if signal.has_listeners(Presence)}
    if not heard:
        return []
    return [
        News(heard[what], change.key, step.user, step.member)
        for change in changes
        for step in change.steps
        if (what := step.what) in heard
    ]


def send(news: Iterable[News]) -> None:
    """Send signals from a thread without a running loop. Django logs errors of receivers."""
    for one in news:
        one.signal.send_robust(Presence, **one.arguments)


async def asend(news: Iterable[News]) -> None:
    """Send signals from a running loop. Errors of receivers are logged."""
    for one in news:
        try:
            await awaited(one.signal.asend_robust(Presence, **one.arguments))
        except Exception:
            user_code.log(logger.exception, "A receiver of a presence signal failed.")


class Signalling:
    """The signals of one tracker: one after the other, sync receivers in a thread of their own.

    *spawn* makes a task on the tracker's loop.
    """

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        self._spawn = spawn
        self._waiting: deque[News] = deque()
        self._too_slow = LogLimit()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def put(self, news: Iterable[News]) -> None:
        """Send *news* soon, after those that were put before."""
        for one in news:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(one)
            else:
                self._too_slow.log(
                    logger.error,
                    "A presence signal was not sent: its receivers are too slow. Let them hand long work to a queue.",
                )
        if self._waiting:
            self._wake.set()
            self._idle.clear()
            if self._task is None or self._task.done():
                self._task = self._spawn(self._run())

    async def _run(self) -> None:
        if asyncio.get_running_loop() in AsyncToSync.loop_thread_executors:
            # async_to_sync waits in a thread, such as that of a TestCase, and only that one sees its transaction.
            await self._send_for_ever()
            return
        async with own_thread():
            await self._send_for_ever(sync_to_async(close_old_connections))

    async def _send_for_ever(self, check_connections: Callable[[], Awaitable[None]] | None = None) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if check_connections:
                await check_connections()
            while self._waiting:
                await asend([self._waiting.popleft()])
            if check_connections:
                await check_connections()
            if not self._waiting:
                self._idle.set()

    async def flush(self) -> None:
        """Wait until everything has been sent, for five seconds at most."""
        try:
            async with asyncio.timeout(RECEIVERS_WAIT):
                await self._idle.wait()
        except TimeoutError:
            logger.warning(
                "%d presence signals were not sent before this process ended.", len(self._waiting) + 1
            )

    async def aclose(self) -> None:
        """Send the signals that wait, for five seconds at most, and end the task."""
        await self.flush()
        task, self._task = self._task, None
        if task:
            task.cancel()
