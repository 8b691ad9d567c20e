"""How positions are kept in each kind of cache, so that users who move at the same time do not overwrite each other."""

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

__all__ = ["Positions", "positions_in"]

Moved = tuple[float, str]  # when, in epoch seconds, and what there is to say of it

PATIENCE = 10.0  # seconds that a write waits for the others
ATTEMPTS = 20
LOCK_LIFE = 5  # seconds after which the lock of a process that died is nobody's


class Positions(Protocol):
    """The positions of groups, each a text by user. *timeout* is in seconds: older ones are not there any more."""

    def write(self, group: str, positions: Mapping[str, str | None], timeout: float) -> None:
        """None removes."""

    def read(self, group: str, timeout: float) -> dict[str, Moved]: ...


def positions_in(cache: BaseCache) -> Positions:
    """Where positions are in this kind of *cache*."""
    if get_client := _redis_client(cache):
        return HashPositions(cache, get_client)
    if isinstance(cache, LocMemCache):
        return LockedPositions(cache, lambda name: _thread_lock)
    if isinstance(cache, FileBasedCache):
        return LockedPositions(cache, lambda name: _file_lock(cache))
    return LockedPositions(cache, lambda name: _cache_lock(cache, name))


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

# KEYS: the group. ARGV: timeout in seconds. Returns user, time and text of each in turn; lets go of what is too old.
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


class HashPositions:
    """In a Redis hash: one command for a write, one for a read, and the server's own time."""

    def __init__(self, cache: BaseCache, get_client: Callable[[], Any]) -> None:
        self._cache = cache
        self._get_client = get_client

    def write(self, group: str, positions: Mapping[str, str | None], timeout: float) -> None:
        self._run(WRITE, group, timeout, *(text or "" for pair in positions.items() for text in pair))

    def read(self, group: str, timeout: float) -> dict[str, Moved]:
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
    """What makes the raw client of a Redis cache: Django's own, or django-redis; None for another."""
    from django.core.cache.backends.redis import RedisCache

    if isinstance(cache, RedisCache):
        return lambda: cache._cache.get_client(None, write=True)
    django_redis = sys.modules.get(
        "django_redis.cache"
    )  # where there is a cache of its, it has been imported
    if django_redis and isinstance(cache, django_redis.RedisCache):
        return lambda: cache.client.get_client(True)
    return None


# Others: one entry for each group, written by one at a time


class LockedPositions:
    """In one entry for the whole group, which is read, changed and written under a lock."""

    def __init__(self, cache: BaseCache, lock: Callable[[str], AbstractContextManager[Any]]) -> None:
        self._cache = cache
        self._lock = lock

    def write(self, group: str, positions: Mapping[str, str | None], timeout: float) -> None:
        now = time.time()
        with self._lock(group):
            before = self.read(group, timeout)
            rows = {user: row for user, row in before.items() if user not in positions}
            rows |= {user: (now, text) for user, text in positions.items() if text is not None}
            if rows != before:
                self._keep(group, rows, timeout)

    def read(self, group: str, timeout: float) -> dict[str, Moved]:
        rows: dict[str, Moved] = self._cache.get(group) or {}
        now = time.time()
        return {user: row for user, row in rows.items() if now - row[0] < timeout}

    def _keep(self, group: str, rows: dict[str, Moved], timeout: float) -> None:
        """Write, and see that it was: a database that is busy drops what it is given, without a word."""
        for _ in range(ATTEMPTS):
            self._cache.set(group, rows, math.ceil(timeout) + 1)  # some know whole seconds only
            if isinstance(self._cache, DummyCache) or self._cache.get(group) == rows:
                return
        raise PresenceUnavailable("The cache does not keep cursor positions.")


_thread_lock = threading.Lock()


def _renew_lock() -> None:
    """In a forked child: nobody is left to let go of it."""
    global _thread_lock
    _thread_lock = threading.Lock()


after_fork(_renew_lock)


@contextmanager
def _file_lock(cache: FileBasedCache) -> Iterator[None]:
    """One for all processes that share the cache's directory."""
    directory: str = cache._dir  # type: ignore[attr-defined]
    os.makedirs(directory, 0o700, exist_ok=True)
    with _thread_lock, open(os.path.join(directory, "djust_presence.lock"), "a") as file:
        locks.lock(file, locks.LOCK_EX)
        yield


@contextmanager
def _cache_lock(cache: BaseCache, group: str) -> Iterator[None]:
    """One for all processes that share the cache, where its ``add`` is atomic, as in a database and memcached."""
    name, token = f"{group}.lock", uuid4().hex
    deadline = time.monotonic() + PATIENCE
    with _thread_lock:
        while not cache.add(name, token, LOCK_LIFE):
            if time.monotonic() > deadline:
                raise PresenceUnavailable("The cache's lock for cursor positions is not let go of.")
            time.sleep(random.uniform(0.001, 0.01))
        try:
            yield
        finally:
            if cache.get(name) == token:
                cache.delete(name)
