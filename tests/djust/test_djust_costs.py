"""What a coming costs where djust's pages are many: on Redis, and in pages that have nothing to do with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, closing
from typing import Any

import pytest
from django.http import HttpRequest
from django.urls import path
from djust import LiveView
from pytest_django import Settings

from djust_presence import PresenceMixin
from tests.djust.pages import DjustPage, DjustVisitor, djust_site
from tests.servers import RedisServer, find_valkey_server
from tests.tracker.test_costs import Monitor

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
    with closing(Monitor(server)) as monitor:
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


async def opened(stack: AsyncExitStack, numbers: Iterable[int]) -> list[DjustPage]:
    """Pages of these documents, mounted all at once."""
    visitor = DjustVisitor()
    pages = []
    for number in numbers:
        page = visitor.socket(f"/document/{number}/", f"{__name__}.{DocumentView.__name__}")
        pages.append(await stack.enter_async_context(page))
    for page in pages:
        await page.mount()
    for page in pages:
        while not page.of_type("mount"):
            await page.frame()
    return pages


async def quiet(pages: list[DjustPage]) -> list[list[dict[str, Any]]]:
    """The frames that each page gets until none of them has got any for a second."""
    frames: list[list[dict[str, Any]]] = [[] for _ in pages]
    while True:
        await asyncio.sleep(1)
        if not any(page.output_queue.qsize() for page in pages):
            return frames
        for page, got in zip(pages, frames, strict=True):
            while page.output_queue.qsize():
                got.append(json.loads((await page.receive_output())["text"]))


async def test_joining_200_others_is_a_script_and_a_message_and_a_patch_for_each(monitor: Monitor) -> None:
    async with AsyncExitStack() as stack:
        pages = await opened(stack, 200 * [1])
        await quiet(pages)
        await monitor.take()
        pages += await opened(stack, [1])
        seen = await monitor.take()
        # The subscription is to the channel of djust's new consumer.
        assert seen == {"EVALSHA": 1, "PUBLISH": 1, "SUBSCRIBE": 1}
        frames = await quiet(pages)
        for got in frames[:-1]:
            assert [frame["type"] for frame in got] == ["patch"]
            assert "201 online" in json.dumps(got)
        assert len(frames[-1]) <= 1
        assert "201 online" in pages[-1].html + json.dumps(frames[-1])


async def test_pages_of_other_documents_get_nothing() -> None:
    async with AsyncExitStack() as stack:
        pages = await opened(stack, range(100))
        await quiet(pages)
        await opened(stack, [7])
        frames = await quiet(pages)
        assert [frame["type"] for frame in frames.pop(7)] == ["patch"]
        assert frames == [[] for _ in range(99)]
