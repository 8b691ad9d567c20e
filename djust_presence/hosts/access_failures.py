"""Access checks that fail or hang: which pages stay open meanwhile, and the lines in the log."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Hashable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from ..rates import LogLimit

__all__ = ["AT_ONCE", "CHECK_WAIT", "Failures", "Slots"]

logger = logging.getLogger("djust_presence")

MAX_FAILURES = 3  # checks in a row
AT_ONCE = 2  # checks that may run at the same time, as one that hangs keeps its thread
CHECK_WAIT = 5.0  # seconds after which such a check counts as hanging


class Failed(NamedTuple):
    """The failures of one owner's checks, in a row."""

    times: int
    worked: int  # how many checks of its kind had worked, in all, when the last of these was counted


class Failures:
    """Failures of the access checks of *what* ("pages"), by their owners.

    An owner whose check fails stays open, as all checks fail while the database is down. But it is closed
    once its check has failed MAX_FAILURES times in a row, while checks of others of its kind worked.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._failed: WeakKeyDictionary[Any, Failed] = WeakKeyDictionary()
        self._worked: Counter[Hashable] = Counter()  # successful checks, by kind
        self._lines = LogLimit()
        self._told = False  # True once the log says that checks fail

    def worked(self, owner: Any, kind: Hashable) -> None:
        self._worked[kind] += 1
        self._failed.pop(owner, None)
        if self._told and not self._failed:
            self._told = False
            logger.warning("Access to open %s is checked again.", self._what)

    def failed(self, owner: Any, kind: Hashable, name: str, error: Exception) -> bool:
        """Count a failure of the owner, which has this *name* in the log. Return True if it must be closed."""
        last, worked = self._failed.get(owner), self._worked[kind]
        if last is None:
            self._tell(name, error)
            self._failed[owner] = Failed(1, worked)
        elif worked > last.worked:
            self._failed[owner] = Failed(last.times + 1, worked)
        if self._failed[owner].times < MAX_FAILURES:
            return False
        del self._failed[owner]
        if (left_out := self._lines.line()) is not None:
            logger.error(
                "One of the open %s, %s, was closed: %s checks of it failed, while those of others worked.%s",
                *(self._what, name, MAX_FAILURES, left_out),
            )
        return True

    def _tell(self, name: str, error: Exception) -> None:
        left_out = self._lines.line()
        if left_out is None and self._told:
            return
        self._told = True
        logger.error(
            "Could not re-check access to open %s, for one %s; they stay open for now.%s",
            *(self._what, name, left_out or ""),
            exc_info=error,
        )


class Slots:
    """A bound on the checks of single views that run at the same time, as one that hangs keeps a thread."""

    def __init__(self) -> None:
        self._running: set[asyncio.Future[Any]] = set()

    async def free(self) -> bool:
        """Wait until another check may begin; return False if none has ended in CHECK_WAIT seconds."""
        loop = asyncio.get_running_loop()
        self._running = {one for one in self._running if not one.done() and one.get_loop() is loop}
        if len(self._running) < AT_ONCE:
            return True
        done, self._running = await asyncio.wait(
            self._running, timeout=CHECK_WAIT, return_when=asyncio.FIRST_COMPLETED
        )
        return bool(done)

    def take(self, check: asyncio.Future[Any]) -> None:
        self._running.add(check)
