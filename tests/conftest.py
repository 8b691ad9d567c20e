"""Fixtures of the whole suite: real Redis and Valkey servers."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.order import rank
from tests.servers import DATABASES, RedisServer, find_redis_server, find_valkey_server

pytest_plugins = ["djust_presence.pytest_plugin"]
pytest.register_assert_rewrite("tests.guide.examples")

# Tests start hundreds of processes, each of which would compile all of our modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A run that is told to end takes its servers with it, as after Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)

_databases = itertools.cycle(range(1, DATABASES))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files in the order in which workers are to take them; within a file nothing changes."""
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: (rank(item.path), -sizes[item.path], item.path))


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[RedisServer]:
    """The Valkey that this run shares. Whoever stops, freezes or flushes one starts a `RedisServer` instead."""
    with RedisServer(find_valkey_server()) as server:
        yield server


@pytest.fixture(scope="session", params=["valkey", "redis"])
def redis_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """Valkey, and the machine's own Redis where there is one (on CI there must be)."""
    if request.param == "valkey":
        yield request.getfixturevalue("valkey_server")
        return
    binary = find_redis_server()
    if binary is None:
        if os.environ.get("CI"):
            pytest.fail("CI must test against redis-server too, and there is none on PATH.")
        pytest.skip("no redis-server on PATH")
    with RedisServer(binary) as server:
        yield server


@pytest.fixture
def valkey_url(valkey_server: RedisServer) -> str:
    """The URL of a Valkey database that no other test uses."""
    return valkey_server.url(next(_databases))


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of a database that no other test uses: once on Valkey, once on Redis."""
    return redis_server.url(next(_databases))


@pytest.fixture
def redis_settings(redis_url: str) -> dict[str, Any]:
    """The settings of a site on Redis: ``override_settings(**redis_settings)``.

    Pub/sub knows no databases, so the layer has a prefix of its own.
    """
    prefix = f"test{next(_databases)}"
    return {
        "DJUST_PRESENCE": {"BACKEND": "redis", "LOCATION": redis_url},
        "CHANNEL_LAYERS": {
            "default": {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": {"hosts": [redis_url], "prefix": prefix},
            },
        },
    }
