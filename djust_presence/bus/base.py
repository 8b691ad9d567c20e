"""The interface of a bus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

__all__ = ["LONGEST_WAIT", "NOTICES", "Bus", "Item", "Receiver"]

Item = list[Any]  # ["change", …], ["event", …], or a notice: JSON
Receiver = Callable[[str, Sequence[Item | None]], None]  # None: an item that could not be decoded

NOTICES = ""  # in place of a presence key, in notices: these concern processes, not a group
LONGEST_WAIT = 1.0  # seconds that sending a single message, or the last ones of a process, may take


class Bus:
    """Carries messages of one process (and loop) to and from the others. Used on its loop only.

    Messages may be lost, duplicated and reordered: receivers cope with that. No method waits for another process or
    raises: a message that cannot be sent is dropped, which comparison with the store makes up for. The log has a
    line when an outage begins and one when it ends.
    """

    def __init__(self, receive: Receiver) -> None:
        self._receive = receive
        self.id = uuid4().hex  # tells the process its own messages

    def subscribe(self, key: str, ready: Callable[[], None]) -> None:
        """Receive messages for *key*. *ready* is called once that works; it may take long if the transport hangs."""
        raise NotImplementedError

    def unsubscribe(self, key: str) -> None:
        """Stop receiving messages for *key*."""
        raise NotImplementedError

    def publish(self, key: str, items: list[Item]) -> None:
        """Send *items* to the other processes that serve *key*."""
        raise NotImplementedError

    def waits(self, key: str) -> bool:
        """Return whether something that was published for *key* has not been sent yet."""
        return False

    def again(self, always: bool = False) -> None:
        """Subscribe again if the transport has forgotten this process, or with *always*. Called with each renewal."""

    async def aclose(self) -> None:
        """Stop receiving, and send what is waiting if that takes at most a second."""
