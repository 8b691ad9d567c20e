"""The cost of polls: round trips and commands at the store, counted on the wire."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.test import Client
from pytest_django import Settings

from djust_presence.backends.registry import get_backend
from tests.backends.relay import Relay
from tests.feed.pages import issue
from tests.feed.polled import InProcess, PolledPage
from tests.servers import RedisServer

pytestmark = pytest.mark.redis


class Wire:
    """A way to the store that counts round trips."""

    def __init__(self, url: str, relay: Relay) -> None:
        self.relay = relay
        self._client = redis.Redis.from_url(url, decode_responses=True)

    def commands(self) -> dict[str, int]:
        """Return how often each command was called, by clients and by scripts, since the last time."""
        stats: dict[str, Any] = self._client.info("commandstats")
        self._client.config_resetstat()
        names = {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}
        return {name: calls for name, calls in names.items() if name not in ("info", "config|resetstat")}

    def round_trips(self, page: PolledPage) -> int:
        self.relay.round_trips = 0
        self.commands()
        assert page.poll().status == 200
        return self.relay.round_trips

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def wire(
    feed_site: Settings, fresh_limits: None, valkey_server: RedisServer, valkey_url: str
) -> Iterator[Wire]:
    """A site whose pages poll, and whose turn to reap was just now."""
    with Relay(valkey_server.port) as relay:
        location = f"{relay.url.rpartition('/')[0]}/{valkey_url.rpartition('/')[2]}"
        feed_site.DJUST_PRESENCE = {"BACKEND": "redis", "LOCATION": location, "LEASE_TTL": 600}
        layer = {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [valkey_url]},
        }
        feed_site.CHANNEL_LAYERS = {"default": layer}
        counting = Wire(valkey_url, relay)
        first = page_of("ada", "elsewhere")  # connects, loads the scripts, reaps
        first.poll()
        first.bye()
        yield counting
        counting.close()
        get_backend().close()


def page_of(user: str, *keys: str, tracks: bool = True, **want: Any) -> PolledPage:
    client = Client()
    client.cookies["user"] = user
    page = PolledPage(InProcess(client))
    for key in keys:
        page.want(key, issue(key, tracks=tracks), **want)
    return page


WANTS: list[dict[str, Any]] = [{"list": True}, {"count": True}, {"some": ["A" * 16]}, {}]


@pytest.mark.parametrize("rooms", [1, 64])
@pytest.mark.parametrize("tracks", [True, False])
def test_an_idle_poll_is_one_round_trip(wire: Wire, rooms: int, tracks: bool) -> None:
    page = page_of("ada", *(f"room{n}" for n in range(rooms)), tracks=tracks)
    for n, room in enumerate(page.asked.values()):
        room["want"] = WANTS[n % len(WANTS)]
    page.poll()
    page.poll()  # a page that only counts does not know the tag before
    assert wire.round_trips(page) == 1
    assert page.last.json["rooms"] == {}
    commands = wire.commands()
    assert commands["evalsha"] == 2  # renew, and mend
    assert commands.get("hgetall", 0) == commands.get("hlen", 0) == 0


def test_a_first_poll_opens_writes_and_reads(wire: Wire) -> None:
    for keys in (["a"], ["a", "b", "c", "d", "e"]):
        assert wire.round_trips(page_of("grace", *keys)) == 3
        assert wire.commands()["publish"] == len(keys)


def test_only_groups_that_have_changed_are_read(wire: Wire) -> None:
    ada, grace = page_of("ada", "a", "b", "c"), page_of("grace", "b")
    ada.poll()
    grace.poll()
    assert wire.round_trips(ada) == 2
    assert wire.commands()["hgetall"] == 1


def test_a_page_that_only_counts_reads_no_people(wire: Wire) -> None:
    ada, grace = page_of("ada", "a", "b", tracks=False, count=True), page_of("grace", "a", "b")
    ada.poll()
    grace.poll()
    assert wire.round_trips(ada) == 2
    commands = wire.commands()
    assert (commands["hlen"], commands.get("hgetall", 0)) == (2, 0)


def test_a_goodbye_is_one_round_trip(wire: Wire) -> None:
    page = page_of("ada", "a", "b", "c")
    page.poll()
    wire.relay.round_trips = 0
    assert page.bye().status == 200
    assert wire.relay.round_trips == 1


def test_a_process_reaps_once_in_a_while(wire: Wire, settings: Settings) -> None:
    settings.DJUST_PRESENCE = settings.DJUST_PRESENCE | {"LEASE_TTL": 6}  # so every second
    pages = [page_of("ada", f"room{n}") for n in range(4)]
    for page in pages:
        page.poll()
    began = time.monotonic()
    claims = sum(wire.round_trips(page) - 1 for page in pages * 2)
    assert claims <= 1 + (time.monotonic() - began)
