"""Calls of jobs cost the same whatever the group's size: commands in the server, and bytes on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from pytest_django import Settings

from djust_presence import presence
from djust_presence.backends.registry import get_backend
from djust_presence.testing.backends.base import LONG, join
from tests.backends.relay import Relay
from tests.backends.test_redis import monitored
from tests.servers import RedisServer, find_valkey_server

SIZES = {"small": 10, "large": 2000}
CONNECTING = ("CLIENT", "HELLO", "SELECT")

# In this order: each with what goes over the wire for it
CALLS: list[tuple[str, tuple[Any, ...], list[str]]] = [
    ("join", ("job",), ["EVALSHA", "EVALSHA", "PUBLISH"]),
    ("join", ("job", {"name": "Importer"}), ["EVALSHA", "EVALSHA", "PUBLISH"]),
    ("heartbeat", ("job",), ["EVALSHA"]),
    ("count", (), ["HLEN"]),
    ("list", (10,), ["EVALSHA"]),
    ("leave", ("job",), ["EVALSHA", "PUBLISH"]),
]


@pytest.fixture
def server(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A server with a group of each size, whose last member is a job, and one whose list has equal times."""
    monkeypatch.setattr("djust_presence.presence.store.SWEEP_INTERVAL", 600)
    with RedisServer(find_valkey_server()) as server:
        settings.DJUST_PRESENCE = {"BACKEND": "redis", "LOCATION": server.url()}
        settings.CHANNEL_LAYERS = {
            "default": {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": {"hosts": [server.url()]},
            }
        }
        backend = get_backend()
        for key, size in SIZES.items():
            backend.open(key, LONG)
            meta = '{"name":"Somebody"}'
            ops = [
                join(n, f"r{n:04}", f"user{n:04}", key, meta=meta, joined_at=1.5 + n // 2)
                for n in range(1, size + 1)
            ]
            backend.write(key, ops)
            for name, arguments, _ in CALLS:  # so that the server knows all scripts
                getattr(presence, name)(key, *arguments)
        yield server
        get_backend().close()


@pytest.mark.parametrize("awaited", [False, True])
def test_the_server_carries_out_as_many_commands_for_a_large_group_as_for_a_small_one(
    server: RedisServer, awaited: bool
) -> None:
    with redis.Redis.from_url(server.url(), decode_responses=True) as client, asyncio.Runner() as runner:

        def carried_out(key: str, name: str, arguments: tuple[Any, ...]) -> list[tuple[bool, str]]:
            """The commands of a call, each with whether a script has sent it."""
            with monitored(client) as commands:
                if awaited:
                    runner.run(getattr(presence, f"a{name}")(key, *arguments))
                else:
                    getattr(presence, name)(key, *arguments)
                told = [(one["client_type"] == "lua", one["command"].split()[0]) for one in commands()]
            return sorted(one for one in told if one[1] not in CONNECTING)

        counted = {
            key: [(name, carried_out(key, name, arguments)) for name, arguments, _ in CALLS] for key in SIZES
        }
        runner.run(get_backend().aclose())
    assert counted["large"] == counted["small"]
    on_the_wire = [
        (name, [command for inner, command in told if not inner]) for name, told in counted["large"]
    ]
    assert on_the_wire == [(name, commands) for name, _, commands in CALLS]


def test_a_part_begins_anywhere_with_a_few_looks_at_the_list(server: RedisServer) -> None:
    """A spot is found by halving: 11 looks in 2,000 members, and one more to read the part."""
    everybody = presence.list("large")
    with redis.Redis.from_url(server.url(), decode_responses=True) as client:
        for at in (0, 1, 998, 999, 1990):
            with monitored(client) as commands:
                assert presence.list("large", limit=9, after=everybody[at]) == everybody[at + 1 : at + 10]
                looks = [one for one in commands() if one["command"].startswith("ZRANGE")]
            assert len(looks) <= 12


def test_the_answer_has_no_more_bytes_for_a_large_group_than_for_a_small_one(
    server: RedisServer, settings: Settings
) -> None:
    with Relay(server.port) as relay:
        settings.DJUST_PRESENCE = {"BACKEND": "redis", "LOCATION": relay.url}
        presence.list("small", limit=1)
        answered = []
        for key in SIZES:
            relay.answered = 0
            assert len(presence.list(key, limit=10)) == 10
            answered.append(relay.answered)
        get_backend().close()
    assert answered[0] == answered[1] > 0


@pytest.mark.parametrize("awaited", [False, True])
def test_every_call_of_a_job_is_one_round_trip_to_the_store(
    server: RedisServer, settings: Settings, awaited: bool
) -> None:
    with Relay(server.port) as relay, asyncio.Runner() as runner:
        settings.DJUST_PRESENCE = {"BACKEND": "redis", "LOCATION": relay.url}

        def call(name: str, arguments: tuple[Any, ...]) -> None:
            if awaited:
                runner.run(getattr(presence, f"a{name}")("large", *arguments))
            else:
                getattr(presence, name)("large", *arguments)

        for _ in range(2):  # the first time it connects
            told = []
            for name, arguments, _ in CALLS:
                relay.round_trips = 0
                call(name, arguments)
                told.append((name, relay.round_trips))
        runner.run(get_backend().aclose())
        get_backend().close()
    assert told == [(name, 1) for name, _, _ in CALLS]
