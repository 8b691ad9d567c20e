"""Both backends that ship keep the contract."""

from __future__ import annotations

from collections.abc import Collection

import pytest
import redis

from djust_presence.backends.base import Backend
from djust_presence.backends.memory import MemoryBackend
from djust_presence.backends.redis import RedisBackend
from djust_presence.contract import BackendContract


class BlockingVerbsOnly(MemoryBackend):
    """As a third party may write one: the awaited verbs are those of the base class."""

    aopen = Backend.aopen
    arenew = Backend.arenew
    adrain = Backend.adrain
    aclaim = Backend.aclaim
    areap = Backend.areap
    awrite = Backend.awrite
    abeat = Backend.abeat
    arelease = Backend.arelease
    asnapshots = Backend.asnapshots
    acounts = Backend.acounts
    amembers = Backend.amembers
    acount_and_member = Backend.acount_and_member


def names(backend: Backend) -> Collection[str]:
    assert isinstance(backend, MemoryBackend)
    store = backend._store
    return [*store.leases, *store.dead, *store.index, *store.groups]


class TestMemory(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend()

    def stored(self, backend: Backend) -> Collection[str]:
        return names(backend)


class TestBlockingVerbsOnly(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return BlockingVerbsOnly()

    def stored(self, backend: Backend) -> Collection[str]:
        return names(backend)


@pytest.mark.redis
class TestRedis(BackendContract):
    @pytest.fixture
    def backend(self, redis_url: str) -> Backend:
        self.url = redis_url
        return RedisBackend(redis_url, {})

    def stored(self, backend: Backend) -> Collection[str]:
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            return [
                *(name for name in client.scan_iter() if name not in ("{djp}:1:B", "{djp}:1:H")),
                *client.hkeys("{djp}:1:S"),
                *client.zrange("{djp}:1:L", 0, -1),
                *client.zrange("{djp}:1:J", 0, -1),
            ]
