"""Writes the live cursors of a group to the cache, for ``CursorTracker`` and whoever reads by it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from traceback import format_exception_only

from django.db import connections

from ..conf import on_change
from ..forks import after_fork
from ..outages import Outage
from .positions import Place, save

__all__ = ["Saving"]

logger = logging.getLogger("djust_presence")


class Saving:
    """The users of a group who have moved since the last write; one write at a time, of where they are by then."""

    _thread = ThreadPoolExecutor(1, "djust_presence-cursors")  # for all groups
    _outage = Outage()

    def __init__(self, key: str) -> None:
        self._key = key
        self._moved: set[str] = set()
        self._writing: Future[None] | None = None

    def moved(self, user: str) -> None:
        self._moved.add(user)

    @property
    def due(self) -> bool:
        return bool(self._moved)

    def save(self, places: Callable[[set[str]], Mapping[str, Place | None]]) -> None:
        """Write what *places* gives for those who moved, unless the last write is not over yet."""
        if self._moved and (self._writing is None or self._writing.done()):
            moved, self._moved = self._moved, set()
            self._writing = self._thread.submit(self._write, places(moved))

    def _write(self, places: Mapping[str, Place | None]) -> None:
        try:
            save(self._key, places)
            if self._outage.worked():
                logger.warning("The cache takes cursor positions again.")
        except Exception as error:
            if self._outage.failed():
                logger.warning(
                    "The cache does not take cursor positions (%s); pages show them all the same.",
                    "".join(format_exception_only(error)).strip(),
                )
        finally:
            connections.close_all()

    @classmethod
    def forget(cls) -> None:
        """In a forked child: the thread has stayed in its parent."""
        cls._thread = ThreadPoolExecutor(1, "djust_presence-cursors")

    @classmethod
    def reset(cls) -> None:
        """The settings, and with them the cache, may be others."""
        cls._outage = Outage()


on_change(Saving.reset)
after_fork(Saving.forget)
