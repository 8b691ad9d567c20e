"""Writes of cursors to a cache that does not answer."""

from __future__ import annotations

import time

import pytest
from pytest_django import Settings

from djust_presence.cursors.cache_writer import CacheWriter
from djust_presence.cursors.tracker import CachedCursor
from tests.servers import RedisServer, find_valkey_server


def test_an_outage_of_the_cache_has_a_line_at_its_begin_and_one_at_its_end(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(find_valkey_server()) as server:
        cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": server.url()}
        settings.CACHES = {"default": cache}
        settings.DJUST_PRESENCE = {}
        writer = CacheWriter("room")

        def write_until(said: str) -> None:
            deadline = time.monotonic() + 20
            while said not in caplog.text and time.monotonic() < deadline:
                writer.moved("7")
                writer.write(lambda users: dict.fromkeys(users, CachedCursor(1.0, 2.0, "{}")))
                time.sleep(0.1)

        server.stop()
        write_until("does not take cursor positions")
        server.start()
        write_until("takes cursor positions again")
    lines = [record.getMessage() for record in caplog.records if record.name == "djust_presence"]
    assert [line.partition(" (")[0] for line in lines] == [
        "The cache does not take cursor positions",
        "The cache takes cursor positions again.",
    ]
