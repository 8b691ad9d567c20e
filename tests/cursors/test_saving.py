"""Writing cursors to a cache that may be away."""

from __future__ import annotations

import time

import pytest
from pytest_django import Settings

from djust_presence.cursors.saving import Saving
from tests.servers import RedisServer, find_valkey_server


def test_a_cache_that_is_away_has_a_line_when_that_begins_and_one_when_it_is_over(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(find_valkey_server()) as server:
        cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": server.url()}
        settings.CACHES = {"default": cache}
        settings.DJUST_PRESENCE = {}
        saving = Saving("room")

        def save_until(said: str) -> None:
            deadline = time.monotonic() + 20
            while said not in caplog.text and time.monotonic() < deadline:
                saving.moved("7")
                saving.save(lambda users: dict.fromkeys(users, (1.0, 2.0, "{}")))
                time.sleep(0.1)

        server.stop()
        save_until("does not take cursor positions")
        server.start()
        save_until("takes cursor positions again")
    lines = [record.getMessage() for record in caplog.records if record.name == "djust_presence"]
    assert [line.partition(" (")[0] for line in lines] == [
        "The cache does not take cursor positions",
        "The cache takes cursor positions again.",
    ]
