"""Tasks that user code starts and does not wait for: they may use the ORM after that code has ended."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from django.contrib.auth.models import Group
from django.db import connection, connections, transaction
from django.http import HttpRequest
from django.test import AsyncClient, TestCase, override_settings
from django.urls import path
from django.utils import translation
from django.utils.decorators import async_only_middleware
from pytest_django import Settings

from djust_presence import LiveView, PresenceMixin, event_handler
from djust_presence.background import AFTERWARDS, LONGEST_STOP, own_thread
from djust_presence.channels import PresenceConsumerMixin
from djust_presence.hosts.workers import workers
from djust_presence.testing import LivePage
from tests.forked import ends_in_child
from tests.live.conftest import live
from tests.test_channels import connected
from tests.until import until

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


class Slow(LiveView):
    """Starts a task whose sync call takes as long as the test wants."""

    inside: ClassVar[asyncio.Event]
    leave: ClassVar[threading.Event]
    tasks: ClassVar[set[asyncio.Task[None]]] = set()
    template_name = "live/here.html"

    @event_handler()
    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.tasks.add(loop.create_task(sync_to_async(self._work)(loop)))
        await self.inside.wait()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon_threadsafe(self.inside.set)
        assert self.leave.wait(20)


urlpatterns = [
    path("starter/", Starter.as_view()),
    path("nested/", Nested.as_view()),
    path("slow/", Slow.as_view()),
]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    settings.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0.1}
    Later.go_on, Later.tasks = asyncio.Event(), {}


async def written() -> dict[str, str]:
    """Let the tasks go on, and return the findings of those that have written their row."""
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
        await until(lambda: len(Later.tasks) >= 8)
    found = await written()
    found.pop("middleware over HTTP")  # which Django looks after itself
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


class AsyncChat(PresenceConsumerMixin, AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        self.track_presence("chat")

    async def handle_presence_join(self, key: str, presence: dict[str, Any]) -> None:
        Later.start("a callback of a consumer")
        await self.send_json(["joined"])


class SyncChat(PresenceConsumerMixin, JsonWebsocketConsumer):
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


async def test_tasks_share_few_threads_and_may_go_back_to_async_code_in_them() -> None:
    go_on, count = asyncio.Event(), 3 * AFTERWARDS

    def outer() -> tuple[str, bool, set[str]]:
        fresh = connection.connection is None
        Group.objects.count()
        return threading.current_thread().name, fresh, async_to_sync(inner)()

    async def inner() -> set[str]:
        await asyncio.sleep(0.02)  # until all threads are in use
        await Group.objects.acount()
        calls = (sync_to_async(threading.current_thread)() for _ in range(3))
        return {thread.name for thread in await asyncio.gather(*calls)}

    async def work() -> list[tuple[str, bool, set[str]]]:
        await go_on.wait()
        return [await sync_to_async(outer)() for _ in range(3)]

    tasks = []
    for n in range(count):
        async with own_thread() if n % 2 else workers.hold():
            tasks.append(asyncio.create_task(work()))
    go_on.set()
    for calls in await asyncio.wait_for(asyncio.gather(*tasks), 20):
        assert all(fresh and inside == {thread} for thread, fresh, inside in calls)
    names = [thread.name for thread in threading.enumerate()]
    assert 1 < sum("afterwards" in name for name in names) <= AFTERWARDS


async def test_a_transaction_that_a_task_leaves_open_is_not_the_next_ones() -> None:
    go_on = asyncio.Event()

    async def leave_open() -> None:
        await go_on.wait()
        await sync_to_async(transaction.atomic().__enter__)()

    async def look() -> tuple[bool, int]:
        await go_on.wait()
        return await sync_to_async(lambda: (connection.in_atomic_block, Group.objects.count()))()

    async with own_thread():
        leaving = [asyncio.create_task(leave_open()) for _ in range(AFTERWARDS)]
        looking = [asyncio.create_task(look()) for _ in range(3 * AFTERWARDS)]
    go_on.set()
    await asyncio.wait_for(asyncio.gather(*leaving), 10)
    found = await asyncio.wait_for(asyncio.gather(*looking), 10)
    assert found == [(False, 0)] * len(looking)


STUCK = """
import asyncio, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from asgiref.sync import async_to_sync, sync_to_async
from djust_presence.background import own_thread

async def start():
    inside = [asyncio.Event() for _ in range(2)]

    async def forever(n):
        inside[n].set()
        await asyncio.get_running_loop().create_future()

    async def work(n):
        await go_on[n].wait()
        await sync_to_async(async_to_sync(forever))(n)

    go_on = [asyncio.Event() for _ in range(2)]
    async with own_thread():
        tasks = [asyncio.create_task(work(n)) for n in range(2)]
        go_on[0].set()
        await inside[0].wait()
    go_on[1].set()
    await inside[1].wait()
    return tasks

loop = asyncio.new_event_loop()
tasks = loop.run_until_complete(start())
print("stopped", flush=True)
"""


def test_a_process_ends_though_the_threads_of_tasks_wait_for_its_loop() -> None:
    result = subprocess.run(
        [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=LONGEST_STOP + 15
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "stopped\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_a_forked_child_has_threads_of_its_own_for_tasks() -> None:
    async def go_on_later() -> str:
        go_on = asyncio.Event()

        async def work() -> str:
            await go_on.wait()
            return (await sync_to_async(threading.current_thread)()).name

        async with own_thread():
            task = asyncio.create_task(work())
        go_on.set()
        return await task

    for _ in range(AFTERWARDS):
        assert await go_on_later() == "djust_presence-afterwards"
    assert await ends_in_child(go_on_later)


async def test_a_page_does_not_wait_for_a_call_of_a_task_of_its_handler() -> None:
    Slow.inside, Slow.leave = asyncio.Event(), threading.Event()
    try:
        async with live("/slow/") as socket:
            assert (await socket.frame())["type"] == "ready"
            await socket.frame()
            async with asyncio.timeout(5):
                await socket.call(1, "start")
                await socket.call(2, "start")
    finally:
        Slow.leave.set()
    await asyncio.gather(*Slow.tasks)
    Slow.tasks.clear()


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
