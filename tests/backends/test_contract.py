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
    aopen_and_write = Backend.aopen_and_write
    abeat = Backend.abeat
    arelease = Backend.arelease
    asnapshots = Backend.asnapshots
    apage = Backend.apage
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


class OldVerbsOnly(BlockingVerbsOnly):
    """As a third party has written one before there were verbs that answer in one step what others do in two."""

    page = Backend.page


class TestOldVerbsOnly(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return OldVerbsOnly()

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
                *(name for name in client.scan_iter() if name not in ("{djp}:2:B", "{djp}:2:H")),
                *client.hkeys("{djp}:2:S"),
                *client.zrange("{djp}:2:L", 0, -1),
                *client.zrange("{djp}:2:J", 0, -1),
            ]
