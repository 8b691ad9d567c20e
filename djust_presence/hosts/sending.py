"""The sends to all sockets of a loop, in one task as long as none of them has to wait."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from .threads import spawn

__all__ = ["Sending", "sending_of_loop"]

SENDS_PER_TURN = 500  # before others get a turn


class Sender(Protocol):
    """A socket with something to send."""

    async def send(self, task: asyncio.Task[Any]) -> None:
        """Send it, in the current *task*, which may be cancelled if the send is not needed. Raises nothing else."""


class Sending:
    """Lets senders send in their order.

    A task for each would cost more than most sends, as servers rarely wait: there is one for all. If a sender does
    wait, another task goes on with the others.
    """

    def __init__(self) -> None:
        self._senders: deque[Sender] = deque()
        self._begins = False  # whether a task is about to begin

    def add(self, sender: Sender) -> None:
        """Let *sender* send at the loop's next turn."""
        self._senders.append(sender)
        if not self._begins:
            self._begin()

    def _begin(self) -> None:
        self._begins = True
        spawn(self._send())
        asyncio.get_running_loop().call_soon(self._go_on)  # after the task has done what it could

    async def _send(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        senders = self._senders
        for _ in range(SENDS_PER_TURN):
            if not senders:
                return
            await senders.popleft().send(task)

    def _go_on(self) -> None:
        self._begins = False
        if self._senders:
            self._begin()


_sending: WeakKeyDictionary[asyncio.AbstractEventLoop, Sending] = WeakKeyDictionary()


def sending_of_loop() -> Sending:
    """Return that of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _sending:
        _sending[loop] = Sending()
    return _sending[loop]
