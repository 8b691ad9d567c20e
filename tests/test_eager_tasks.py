"""Loops that start every task at once: ``asyncio.eager_task_factory``, of Python 3.12 and later."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.consumer import AsyncConsumer
from channels.layers import InMemoryChannelLayer
from django.http import HttpRequest
from django.urls import path
from pytest_django import Settings

from djust_presence import LiveView, PresenceMixin, event_handler
from djust_presence.bus.layer import LayerBus
from djust_presence.channels.callbacks import Callbacks
from djust_presence.testing import LivePage
from tests.pages import site
from tests.until import until_equal

pytestmark = [
    pytest.mark.urls(__name__),
    pytest.mark.skipif(sys.version_info < (3, 12), reason="Python has had such a factory since 3.12"),
]


class Room(PresenceMixin, LiveView):
    template_name = "room.html"
    presence_key = "room"
    presence_unique_per_connection = True

    async def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()

    async def handle_presence_join(self, presence: dict[str, Any]) -> None:
        self.push_event("join", presence["name"])

    @event_handler()
    async def call(self, text: str) -> None:
        self.broadcast_to_presence("call", text)


urlpatterns = [path("room/", Room.as_view())]


@pytest.fixture(autouse=True)
async def eager(settings: Settings, quiet_presence: None) -> AsyncIterator[None]:
    for name, value in site({"room.html": "{{ online_count }} here"}).items():
        setattr(settings, name, value)
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    yield
    loop.set_task_factory(None)


async def test_pages_go_live_and_hear_of_each_other(transactional_db: None) -> None:
    async with LivePage("/room/") as one, LivePage("/room/") as two:
        await one.until("2 here")
        assert await two.pushed("join")
        for count, text in enumerate(["hello", "again"], 1):
            await one.event("call", text=text)
            assert (await two.broadcasts("call", count))[-1] == text
    async with LivePage("/room/") as three:
        await three.until("1 here")


async def test_a_bus_ends_all_its_tasks() -> None:
    before = asyncio.all_tasks()
    received: list[Any] = []
    layer = InMemoryChannelLayer()
    here, there = (LayerBus(lambda key, items: received.append((key, items)), layer, "") for _ in range(2))
    subscribed = asyncio.Event()
    here.subscribe("key", subscribed.set)
    await subscribed.wait()
    there.publish("key", [["a"]])
    await until_equal(lambda: received, [("key", [["a"]])], 5)
    await here.aclose()
    await there.aclose()
    assert asyncio.all_tasks() == before


async def test_callbacks_that_do_not_wait_are_all_called() -> None:
    called: list[int] = []

    async def call(number: int) -> None:
        called.append(number)

    callbacks = Callbacks(AsyncConsumer())
    for number in (1, 2, 3):
        callbacks.put(lambda number=number: call(number))  # type: ignore[misc]
        await asyncio.sleep(0.01)
    assert called == [1, 2, 3]
