"""The reads of the store that a page with tags takes, and pages whose store is away."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.http import HttpRequest
from django.urls import path
from pytest_django import Settings

from djust_presence import LiveView, PresenceMixin, presence
from djust_presence.conf import get_settings
from djust_presence.feed.reads import SMALL
from djust_presence.testing import presence as presence_of_test
from djust_presence.tracker import lookup
from tests.backends.test_redis import monitored
from tests.feed.site import ADA, asked, rendered
from tests.feed.site import urlpatterns as feed
from tests.pages import Visitor, site
from tests.servers import free_port

pytestmark = pytest.mark.urls(__name__)


class Room(PresenceMixin, LiveView):
    template_name = "room.html"
    presence_key = "room"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()


urlpatterns = [*feed, path("room/", Room.as_view())]

Reads = Callable[..., list[str]]
DOTS = "{% for one in people %}{% presence_dot one key %}{% endfor %}"
PEOPLE = [str(number) for number in range(300)]


@pytest.fixture
def reads(settings: Settings, redis_settings: dict[str, Any]) -> Iterator[Reads]:
    """Renders a template as another page; returns the commands that it took."""
    for name, value in {**site({"room.html": "{{ online_count }} here"}), **redis_settings}.items():
        setattr(settings, name, value)
    with redis.Redis.from_url(redis_settings["DJUST_PRESENCE"]["LOCATION"], decode_responses=True) as client:

        def reads(source: str, key: str = "site") -> list[str]:
            with monitored(client) as commands:
                several = [f"room:{number}" for number in PEOPLE]
                rendered(source, asked(ADA), key=key, people=PEOPLE, several=several)
                found = [one["command"].split()[0] for one in commands() if one["client_type"] != "lua"]
            return [one for one in found if one not in ("MULTI", "EXEC")]

        presence.join("site", "1")
        rendered(
            "{% presence_avatars key %}{% presence_count_many several as counts %}",
            asked(ADA),
            key="site",
            several=["a"],
        )
        yield reads


@pytest.mark.redis
@pytest.mark.parametrize(
    "source",
    [
        DOTS,
        "{% presence_count key %}{% presence_avatars key %}{% presence_count key watch=True %}" + DOTS,
        "{% presence_avatars key %}{% presence_count key %}",
    ],
    ids=["300 dots", "all of one group", "avatars first"],
)
def test_one_read_is_enough_for_a_page(reads: Reads, source: str) -> None:
    assert reads(source) == reads("{% presence_avatars key %}")


@pytest.mark.redis
def test_many_counts_are_read_by_the_one_round_trip_that_the_backend_promises(reads: Reads) -> None:
    source = "{% presence_count_many several as counts %}{% for one, n in counts.items %}{{ n }}{% endfor %}"
    assert reads(source) == ["HLEN"] * len(PEOPLE)


@pytest.mark.redis
def test_only_the_shown_part_of_a_large_group_is_read(reads: Reads) -> None:
    for number in range(SMALL + 1):
        presence.join("large", number)
    reads("{% presence_count key %}", "large")  # from here on it is known to be large
    whole = reads("{% presence_avatars key %}", "large")
    count = reads("{% presence_count key %}", "large")
    assert not {*count} & {*whole}
    one = reads("{% presence_dot 7 key %}", "large")
    assert reads("{% for one in people %}{% presence_dot one key among=people %}{% endfor %}", "large") == one
    assert reads("{% presence_count key %}{% presence_count key %}", "large") == count


def test_while_the_store_is_away_a_page_shows_what_is_known(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DJUST_PRESENCE = {"BACKEND": "redis", "LOCATION": f"redis://127.0.0.1:{free_port()}/0"}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer"}}
    source = (
        "{% presence_count key %}{% presence_avatars key %}{% presence_count_many several as counts %}"
        "{% for one, n in counts.items %}{{ n }}{% endfor %}" + DOTS
    )
    with caplog.at_level(logging.WARNING, "djust_presence"):
        began, away = time.monotonic(), {"key": "away", "people": PEOPLE, "several": ["a", "b"]}
        pages = [rendered(source, asked(ADA), **away) for _ in range(20)]
    assert time.monotonic() - began < 20 * lookup.PAUSE
    assert {re.sub("<[^>]*>", "", page) for page in pages} == {"1A00"}
    assert len(caplog.records) <= 1
    assert get_settings().backend == "redis"


@pytest.mark.redis
async def test_a_group_that_this_process_serves_is_read_from_memory(reads: Reads) -> None:
    source = "{% presence_avatars key %}{% presence_count key %}" + DOTS
    async with presence_of_test(), Visitor("ada").opens("/room/") as page:
        await page.until("1 here")
        await asyncio.to_thread(reads, source, "room")  # meanwhile the others are told of the page
        assert await asyncio.to_thread(reads, source, "room") == []
