"""Writes the live cursors of a group to the cache, for the readers of ``CursorTracker``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from traceback import format_exception_only

from django.db import connections

from ..conf import on_change
from ..forks import after_fork
from ..outages import Outage
from .tracker import CachedCursor, save

__all__ = ["CacheWriter"]

logger = logging.getLogger("djust_presence")


class CacheWriter:
    """Collects the users of the group *key* who have moved since the last write. There is one write at a time."""

    _thread = ThreadPoolExecutor(1, "djust_presence-cursors")  # for all groups
    _outage = Outage()

    def __init__(self, key: str) -> None:
        self._key = key
        self._moved: set[str] = set()
        self._writing: Future[None] | None = None

    def moved(self, user: str) -> None:
        """Note that the cursor of *user* has moved or is gone."""
        self._moved.add(user)

    @property
    def due(self) -> bool:
        """True if there is something to write."""
        return bool(self._moved)

    def write(self, latest: Callable[[set[str]], Mapping[str, CachedCursor | None]]) -> None:
        """Write the result of *latest* for the users who moved, if no other write is under way."""
        if self._moved and (self._writing is None or self._writing.done()):
            moved, self._moved = self._moved, set()
            self._writing = self._thread.submit(self._save, latest(moved))

    def _save(self, cursors: Mapping[str, CachedCursor | None]) -> None:
        try:
            save(self._key, cursors)
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
        """Start a new thread in a forked child: the old one has stayed in the parent."""
        cls._thread = ThreadPoolExecutor(1, "djust_presence-cursors")

    @classmethod
    def reset(cls) -> None:
        """Forget an outage when the settings, and with them perhaps the cache, have changed."""
        cls._outage = Outage()


on_change(CacheWriter.reset)
after_fork(CacheWriter.forget)
