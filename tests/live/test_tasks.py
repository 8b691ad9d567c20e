"""Tasks that user code starts and does not wait for: they may use the ORM after what has started them is over."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from django.contrib.auth.models import Group
from django.db import connection, connections
from django.http import HttpRequest
from django.test import AsyncClient, TestCase, override_settings
from django.urls import path
from django.utils import translation
from django.utils.decorators import async_only_middleware
from pytest_django import Settings

from djust_presence import LiveView, PresenceMixin, event_handler
from djust_presence.channels import PresenceConsumerMixin
from djust_presence.testing import LivePage
from tests.live.conftest import live
from tests.test_channels import connected

pytestmark = pytest.mark.django_db(transaction=True)


class Later:
    """Tasks that wait until a test lets them go on, and then write a row."""

    go_on: ClassVar[asyncio.Event]
    tasks: ClassVar[dict[str, asyncio.Task[str]]]

    @classmethod
    def start(cls, name: str) -> None:
        if name not in cls.tasks:
            cls.tasks[name] = asyncio.get_running_loop().create_task(cls.write(name))

    @classmethod
    async def write(cls, name: str) -> str:
        await cls.go_on.wait()
        await Group.objects.acreate(name=name)
        return await sync_to_async(surroundings)()


def surroundings() -> str:
    connected = "no connection" if connection.connection is None else "a connection"
    return f"{translation.get_language()}: {connected}"


class Starter(PresenceMixin, LiveView):
    """Starts one wherever its code is async."""

    presence_key = "starter"
    template_name = "live/here.html"

    async def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()
        Later.start("a mount on a socket" if self._live else "a mount over HTTP")

    async def handle_presence_join(self, presence: dict[str, Any]) -> None:
        Later.start("a callback")

    async def handle_presence_event(self, event: str, payload: Any) -> None:
        Later.start("an event of the group")

    async def still_allowed(self, user: Any) -> bool:
        Later.start("an access check")
        return True

    @event_handler()
    async def start(self) -> None:
        Later.start("an async handler")
        self.broadcast_to_presence("hello")


@async_only_middleware
def starting_middleware(get_response: Callable[[HttpRequest], Any]) -> Any:
    async def middleware(request: HttpRequest) -> Any:
        Later.start("middleware on a socket" if hasattr(request, "connection") else "middleware over HTTP")
        return await get_response(request)

    return middleware


class Nested(LiveView):
    """Goes from async to sync code and back, and then waits for a task of the inner code."""

    seen: ClassVar[list[Any]] = []

    def get_template_names(self) -> Any:
        from django.template import engines

        return engines["django"].from_string("nothing")

    async def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        task = await sync_to_async(async_to_sync(self._inner))()
        self.seen.append(await task)
        self.seen.append(await sync_to_async(self._where)())

    async def _inner(self) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(self._innermost())

    async def _innermost(self) -> Any:
        await asyncio.sleep(0.05)
        return await sync_to_async(self._where)()

    @staticmethod
    def _where() -> tuple[str, bool]:
        return threading.current_thread().name, connection.in_atomic_block


urlpatterns = [path("starter/", Starter.as_view()), path("nested/", Nested.as_view())]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    settings.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0.1}
    Later.go_on, Later.tasks = asyncio.Event(), {}


async def written() -> dict[str, str]:
    """Let the tasks go on; what those have found out that have written their row."""
    Later.go_on.set()
    await asyncio.wait_for(asyncio.gather(*Later.tasks.values()), 10)
    names = {name async for name in Group.objects.values_list("name", flat=True)}
    return {name: task.result() for name, task in Later.tasks.items() if name in names}


async def test_tasks_of_pages_go_on_when_the_code_that_started_them_is_over(settings: Settings) -> None:
    settings.MIDDLEWARE = [
        "django.middleware.locale.LocaleMiddleware",
        f"{__name__}.starting_middleware",
        *settings.MIDDLEWARE,
    ]
    await AsyncClient().get("/starter/", headers={"accept-language": "de"})
    async with live("/starter/", (b"accept-language", b"de")) as socket:
        assert (await socket.frame())["type"] == "ready"
        await socket.frame()
        await socket.call(1, "start")
        while len(Later.tasks) < 8:
            await asyncio.sleep(0.02)
    found = await written()
    found.pop("middleware over HTTP")  # which is Django's own to look after
    assert found == dict.fromkeys(
        [
            "middleware on a socket",
            "a mount over HTTP",
            "a mount on a socket",
            "a callback",
            "an event of the group",
            "an access check",
            "an async handler",
        ],
        "de: no connection",
    )


class AsyncChat(PresenceConsumerMixin, AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    async def connect(self) -> None:
        await self.accept()
        self.track_presence("chat")

    async def handle_presence_join(self, key: str, presence: dict[str, Any]) -> None:
        Later.start("a callback of a consumer")
        await self.send_json(["joined"])


class SyncChat(PresenceConsumerMixin, JsonWebsocketConsumer):  # type: ignore[misc]
    def connect(self) -> None:
        self.accept()
        self.track_presence("chat")

    async def handle_presence_join(self, key: str, presence: dict[str, Any]) -> None:
        Later.start("a callback of a consumer")
        await sync_to_async(self.send_json)(["joined"])


@pytest.mark.parametrize("kind", [AsyncChat, SyncChat])
async def test_tasks_of_a_consumers_callbacks_go_on_too(kind: Any) -> None:
    async with connected(kind) as client:
        await client.until("joined")
    Later.go_on.set()
    await asyncio.wait_for(asyncio.gather(*Later.tasks.values()), 10)
    assert await Group.objects.aget() == await Group.objects.aget(name="a callback of a consumer")


async def test_an_async_mount_is_in_the_transaction_of_its_view_with_all_that_it_waits_for() -> None:
    Nested.seen.clear()
    connections.settings["default"]["ATOMIC_REQUESTS"] = True
    try:
        async with live("/nested/") as socket:
            assert (await socket.frame())["type"] == "ready"
    finally:
        connections.settings["default"]["ATOMIC_REQUESTS"] = False
    assert len({thread for thread, _ in Nested.seen}) == 1
    assert [atomic for _, atomic in Nested.seen] == [True, True]


async def test_no_thread_is_left_when_the_tasks_are_over() -> None:
    async with live("/starter/") as socket:
        assert (await socket.frame())["type"] == "ready"
    await written()
    Later.tasks.clear()
    async with asyncio.timeout(10):
        while any("afterwards" in thread.name for thread in threading.enumerate()):
            gc.collect()
            await asyncio.sleep(0.02)


@override_settings(ROOT_URLCONF=__name__)
class InATestCase(TestCase):
    async def test_tasks_see_the_transaction(self) -> None:
        Later.go_on, Later.tasks = asyncio.Event(), {}
        await Group.objects.acreate(name="before")
        async with LivePage("/starter/") as page:
            await page.event("start")
        Later.go_on.set()
        await asyncio.wait_for(asyncio.gather(*Later.tasks.values()), 10)
        assert await Group.objects.acount() == len(Later.tasks) + 1 >= 5
