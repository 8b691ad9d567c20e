"""The sends to all sockets of a loop, made in one task as long as none of them has to wait."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from .threads import spawn

__all__ = ["Sending", "sending_of_loop"]

SENDS_PER_TURN = 500  # before other tasks of the loop get a turn


class Sender(Protocol):
    """A socket with something to send."""

    async def send(self, task: asyncio.Task[Any]) -> None:
        """Send, in the current *task*, which is cancelled if the send is not needed any longer. Raises nothing else."""


class Sending:
    """Runs the sends of senders in their order.

    A task for each would cost more than most sends, as servers rarely wait: there is one for all. If a sender does
    wait, another task goes on with the others.
    """

    def __init__(self) -> None:
        self._senders: deque[Sender] = deque()
        self._begins = False  # True while a task is about to begin

    def add(self, sender: Sender) -> None:
        """Let *sender* send at the loop's next turn."""
        self._senders.append(sender)
        if not self._begins:
            self._begin()

    def _begin(self) -> None:
        self._begins = True
        spawn(self._send())
        asyncio.get_running_loop().call_soon(self._go_on)  # when the task waits, or is done

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
    """Return the one of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _sending:
        _sending[loop] = Sending()
    return _sending[loop]
