"""Cursors in each kind of cache, written so that users who move at the same time do not overwrite each other's."""

from __future__ import annotations

import math
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol
from uuid import uuid4

from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.files import locks

from ..errors import PresenceUnavailable
from ..forks import after_fork

__all__ = ["CursorCache", "cursor_cache_in"]

Row = tuple[float, str]  # the epoch seconds of the last move, and the cursor as a text

LOCK_WAIT = 10.0  # seconds that a write waits for the lock
ATTEMPTS = 20
LOCK_LIFE = 5  # seconds after which the lock of a process that died is free again


class CursorCache(Protocol):
    """The cursors of groups, each a text by user. They are gone *timeout* seconds after they were written."""

    def write(self, group: str, cursors: Mapping[str, str | None], timeout: float) -> None:
        """Write *cursors*; None removes one."""

    def read(self, group: str, timeout: float) -> dict[str, Row]:
        """Return the cursors of *group*."""
        ...


def cursor_cache_in(cache: BaseCache) -> CursorCache:
    """Return the cursors in *cache*, by its kind."""
    if get_client := _redis_client(cache):
        return HashCursorCache(cache, get_client)
    if isinstance(cache, LocMemCache):
        return LockedCursorCache(cache, lambda name: _thread_lock)
    if isinstance(cache, FileBasedCache):
        return LockedCursorCache(cache, lambda name: _file_lock(cache))
    return LockedCursorCache(cache, lambda name: _cache_lock(cache, name))


# Redis: a hash for each group


# KEYS: the group. ARGV: timeout in seconds, then user and text in turn; no text removes.
WRITE = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], string.format('%.6f ', now) .. ARGV[i + 1])
  end
end
redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[1] * 1000))
"""

# KEYS: the group. ARGV: timeout in seconds. Returns user, time and text of each in turn; removes expired ones.
READ = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local rows, found = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #rows, 2 do
  local at, text = string.match(rows[i + 1], '^(%S+) (.*)$')
  if now - at >= tonumber(ARGV[1]) then
    redis.call('HDEL', KEYS[1], rows[i])
  else
    found[#found + 1], found[#found + 2], found[#found + 3] = rows[i], at, text
  end
end
return found
"""


class HashCursorCache:
    """Cursors in a Redis hash per group: one command for a write, one for a read, with the server's time."""

    def __init__(self, cache: BaseCache, get_client: Callable[[], Any]) -> None:
        self._cache = cache
        self._get_client = get_client

    def write(self, group: str, cursors: Mapping[str, str | None], timeout: float) -> None:
        self._run(WRITE, group, timeout, *(text or "" for pair in cursors.items() for text in pair))

    def read(self, group: str, timeout: float) -> dict[str, Row]:
        rows = [_text(row) for row in self._run(READ, group, timeout)]
        return {
            user: (float(at), text) for user, at, text in zip(rows[::3], rows[1::3], rows[2::3], strict=True)
        }

    def _run(self, script: str, group: str, *arguments: Any) -> Any:
        client = self._get_client()
        return client.register_script(script)(keys=[self._cache.make_key(group)], args=arguments)


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


def _redis_client(cache: Any) -> Callable[[], Any] | None:
    """Return a function that makes the raw client of Django's or django-redis's cache; None for another cache."""
    from django.core.cache.backends.redis import RedisCache

    if isinstance(cache, RedisCache):
        return lambda: cache._cache.get_client(None, write=True)
    django_redis = sys.modules.get("django_redis.cache")  # imported if *cache* is one of its caches
    if django_redis and isinstance(cache, django_redis.RedisCache):
        return lambda: cache.client.get_client(True)
    return None


# Others: an entry for each group, written by one thread at a time


class LockedCursorCache:
    """Cursors in an entry for the whole group, which is read, changed and written under a lock."""

    def __init__(self, cache: BaseCache, lock: Callable[[str], AbstractContextManager[Any]]) -> None:
        self._cache = cache
        self._lock = lock

    def write(self, group: str, cursors: Mapping[str, str | None], timeout: float) -> None:
        now = time.time()
        with self._lock(group):
            before = self.read(group, timeout)
            rows = {user: row for user, row in before.items() if user not in cursors}
            rows |= {user: (now, text) for user, text in cursors.items() if text is not None}
            if rows != before:
                self._keep(group, rows, timeout)

    def read(self, group: str, timeout: float) -> dict[str, Row]:
        rows: dict[str, Row] = self._cache.get(group) or {}
        now = time.time()
        return {user: row for user, row in rows.items() if now - row[0] < timeout}

    def _keep(self, group: str, rows: dict[str, Row], timeout: float) -> None:
        """Write *rows* and read them back: a busy database drops a write without an error."""
        for _ in range(ATTEMPTS):
            self._cache.set(group, rows, math.ceil(timeout) + 1)  # some caches round down to seconds
            if isinstance(self._cache, DummyCache) or self._cache.get(group) == rows:
                return
        raise PresenceUnavailable("The cache does not keep cursor positions.")


_thread_lock = threading.Lock()


def _renew_lock() -> None:
    """Replace the lock in a forked child, where no thread would release it."""
    global _thread_lock
    _thread_lock = threading.Lock()


after_fork(_renew_lock)


@contextmanager
def _file_lock(cache: FileBasedCache) -> Iterator[None]:
    """Hold the lock of all processes that share the cache's directory."""
    directory: str = cache._dir  # type: ignore[attr-defined]
    os.makedirs(directory, 0o700, exist_ok=True)
    with _thread_lock, open(os.path.join(directory, "djust_presence.lock"), "a") as file:
        locks.lock(file, locks.LOCK_EX)
        yield


@contextmanager
def _cache_lock(cache: BaseCache, group: str) -> Iterator[None]:
    """Hold the lock of all processes that share the cache, if its ``add`` is atomic, as in a database and memcached."""
    name, token = f"{group}.lock", uuid4().hex
    deadline = time.monotonic() + LOCK_WAIT
    with _thread_lock:
        while not cache.add(name, token, LOCK_LIFE):
            if time.monotonic() > deadline:
                raise PresenceUnavailable(
                    "The lock for cursor positions in the cache was not released in time."
                )
            time.sleep(random.uniform(0.001, 0.01))
        try:
            yield
        finally:
            if cache.get(name) == token:
                cache.delete(name)
