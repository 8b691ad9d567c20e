"""The groups that a mount reads, and its wait for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, wait

from ..greenlets import holds_up

__all__ = ["HOLDS_UP", "MountReads", "in_loop"]

MOUNT_WAIT = 1.0  # seconds that a mount waits, in all

HOLDS_UP = (
    "This would ask the presence store and hold up the event loop: await the method's twin instead, whose name begins "
    "with an a (apresence_count, alist_presences)."
)


def in_loop() -> bool:
    """Return whether a blocking call would hold up a running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class MountReads:
    """The reads of one mount, from any thread. *begin* lets the process serve a group instead of the one before it."""

    __slots__ = ("_begin", "_known", "_left", "key")

    def __init__(self, begin: Callable[[str, str | None], object]) -> None:
        self.key: str | None = None  # of the group that was read last
        self._begin = begin
        self._known: Future[None] = Future()  # done when that group is known
        self._left = MOUNT_WAIT

    def at(self, key: str) -> None:
        """Return when the members of the group *key* are known, or cannot be expected to be known soon.

        Raises ``PresenceError`` in a running loop that would have to wait.
        """
        if self._must_wait(key):
            if in_loop():
                raise holds_up(HOLDS_UP)
            began = time.monotonic()
            wait([self._known], self._left)
            self._waited_since(began)

    async def a_at(self, key: str) -> None:
        """Do the same, awaited on any loop."""
        if self._must_wait(key):
            began = time.monotonic()
            await asyncio.wait([asyncio.wrap_future(self._known)], timeout=self._left)
            self._waited_since(began)

    def _must_wait(self, key: str) -> bool:
        if self.key != key:
            before, self.key, self._known = self.key, key, Future()
            self._begin(key, before)
        return self._left > 0 and not self._known.done()

    def _waited_since(self, began: float) -> None:
        self._left = max(0.0, self._left - (time.monotonic() - began))

    def stop(self) -> None:
        """End the wait."""
        if not self._known.done():
            self._known.set_result(None)
