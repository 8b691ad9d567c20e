"""The cost of a join where djust's pages are many: on Redis, and in pages of other groups."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio
from django.http import HttpRequest
from django.urls import path
from djust import LiveView
from pytest_django import Settings

from djust_presence import PresenceMixin
from djust_presence.djust import news
from djust_presence.djust.host import _consumer
from djust_presence.hosts.old_connections import CHECK_INTERVAL
from djust_presence.testing import presence
from djust_presence.tracker import get_tracker
from tests.djust.pages import DjustPage, DjustVisitor, djust_site
from tests.monitor import Monitor
from tests.servers import RedisServer, find_valkey_server

# Channels looks after database connections at every frame.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db, pytest.mark.redis]

PAGE = """<!doctype html><html><body><div dj-root>
<p>{{ online_count }} online</p>
</div></body></html>"""


class DocumentView(PresenceMixin, LiveView):
    template_name = "document.html"
    presence_key = "document:{doc_id}"
    presence_unique_per_connection = True

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.doc_id = kwargs["doc_id"]
        self.track_presence()


urlpatterns = [path("document/<int:doc_id>/", DocumentView.as_view())]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(find_valkey_server()) as server:
        yield server


@pytest.fixture
def monitor(server: RedisServer) -> Iterator[Monitor]:
    with Monitor(server) as monitor:
        yield monitor


@pytest.fixture(autouse=True)
def site(settings: Settings, server: RedisServer) -> None:
    for name, value in djust_site({"document.html": PAGE}).items():
        setattr(settings, name, value)
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [server.url()]},
        }
    }
    settings.DJUST_PRESENCE = {"BACKEND": "redis", "LOCATION": server.url(), "LEASE_TTL": 600}


@pytest_asyncio.fixture(autouse=True)
async def nothing_is_left(server: RedisServer) -> AsyncIterator[None]:
    """End everything before the server stops."""
    async with presence():
        yield


class Desk:
    """Pages that are mounted, and in the end closed, all at once: otherwise each is refreshed for each of the others."""

    def __init__(self) -> None:
        self.pages: list[DjustPage] = []
        self._visitor = DjustVisitor()
        self._stack = AsyncExitStack()

    async def open(self, numbers: Iterable[int]) -> None:
        new = []
        for number in numbers:
            opened = self._visitor.socket(f"/document/{number}/", f"{__name__}.{DocumentView.__name__}")
            new.append(await self._stack.enter_async_context(opened))
        for page in new:
            await page.mount()
        for page in new:
            while not page.of("mount"):
                await page.frame()
        self.pages += new

    async def close(self) -> None:
        await asyncio.gather(*(page.disconnect(timeout=30) for page in self.pages))
        await self._stack.aclose()


@pytest_asyncio.fixture
async def desk(nothing_is_left: None) -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await desk.close()


async def quiet(pages: Sequence[DjustPage]) -> list[list[dict[str, Any]]]:
    """Return the frames that each page has got, once nothing is under way."""
    sessions = get_tracker().sessions
    calm = 0
    while calm < 10:
        await asyncio.sleep(0.05)
        busy = any(
            one.stale or one.refreshing or one.pending or not one.served or _consumer(one)._presence_pusher
            for one in sessions
        )
        calm = 0 if busy else calm + 1
    frames: list[list[dict[str, Any]]] = [[] for _ in pages]
    for page, got in zip(pages, frames, strict=True):
        while page.output_queue.qsize():
            got.append(json.loads((await page.receive_output())["text"]))
    return frames


async def test_joining_200_others_is_a_script_and_a_message_and_a_patch_for_each(
    monitor: Monitor, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.open(200 * [1])
    await quiet(desk.pages)
    await monitor.atake()
    hops: list[float] = []
    monkeypatch.setattr(news, "close_old_connections", lambda: hops.append(monotonic()))
    began = monotonic()
    await desk.open([1])
    *others, own = await quiet(desk.pages)
    # News take a thread only to look after its database connections, once for all pages.
    assert len(hops) <= (monotonic() - began) / CHECK_INTERVAL + 1 < 50
    # The subscription is to the channel of djust's new consumer.
    assert await monitor.atake() == {"EVALSHA": 1, "PUBLISH": 1, "SUBSCRIBE": 1}
    for frames in others:
        assert [frame["type"] for frame in frames] == ["patch"], frames
        assert "201 online" in json.dumps(frames)
    assert len(own) <= 1
    assert "201 online" in desk.pages[-1].html + json.dumps(own)


async def test_pages_of_other_documents_get_nothing(desk: Desk) -> None:
    await desk.open(range(100))
    await quiet(desk.pages)
    await desk.open([7])
    frames = await quiet(desk.pages[:100])
    assert [frame["type"] for frame in frames.pop(7)] == ["patch"]
    assert frames == [[] for _ in range(99)]
