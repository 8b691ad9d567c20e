from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection, connections, transaction
from django.test import TestCase, override_settings
from django.urls import get_script_prefix, get_urlconf, set_script_prefix, set_urlconf
from django.utils import timezone, translation
from django.utils.timezone import get_fixed_timezone

from djust_presence.background import AFTERWARDS, own_thread
from djust_presence.hosts.threads import Ambient, spawn
from djust_presence.hosts.workers import workers
from tests.until import until

from .conftest import live
from .test_consumer import started

# Threads for async code


async def test_async_code_has_a_thread_of_its_own_for_what_needs_one() -> None:
    async with own_thread():
        threads = {await sync_to_async(threading.current_thread)() for _ in range(3)}
        async with own_thread():
            others = {await sync_to_async(threading.current_thread)() for _ in range(3)}
        assert threads == {await sync_to_async(threading.current_thread)()}
    (thread,), (other,) = threads, others
    assert thread is not other
    await until(lambda: not thread.is_alive() and not other.is_alive(), 5)


class Call:
    """A sync call that is in its thread until it is let go."""

    def __init__(self) -> None:
        self.entered, self.leave = asyncio.Event(), threading.Event()

    async def start(self) -> asyncio.Task[Any]:
        """The task that makes it, once it has begun."""
        task = asyncio.create_task(sync_to_async(self._work)(asyncio.get_running_loop()))
        await self.entered.wait()
        return task

    def _work(self, loop: asyncio.AbstractEventLoop) -> Any:
        User.objects.count()
        loop.call_soon_threadsafe(self.entered.set)
        assert self.leave.wait(20)
        return connections["default"]


@pytest.mark.django_db(transaction=True)
async def test_a_call_of_a_task_is_not_waited_for() -> None:
    call = Call()
    try:
        async with asyncio.timeout(5):
            async with own_thread():
                task = await call.start()
    finally:
        call.leave.set()
    used = await task
    await until(lambda: used.connection is None, 5)


@pytest.mark.django_db(transaction=True)
async def test_calls_of_tasks_that_are_not_waited_for_are_few() -> None:
    calls = [Call() for _ in range(AFTERWARDS + 4)]

    async def run(call: Call) -> asyncio.Task[Any]:
        async with own_thread():
            return await call.start()

    running = [asyncio.create_task(run(call)) for call in calls]
    try:
        async with asyncio.timeout(10):
            await asyncio.gather(*(call.entered.wait() for call in calls))
            await until(lambda: sum(task.done() for task in running) >= AFTERWARDS)
            await asyncio.sleep(0.1)
            assert sum(task.done() for task in running) == AFTERWARDS
            async with own_thread():
                await sync_to_async(thread_name)()  # one without such a call is not held up
    finally:
        for call in calls:
            call.leave.set()
    await asyncio.gather(*(task for task in await asyncio.gather(*running)))


async def test_without_a_sync_call_there_is_no_thread() -> None:
    started_threads: list[str] = []
    threading.setprofile(lambda *args: started_threads.append(thread_name()))
    try:
        async with own_thread():
            pass
    finally:
        threading.setprofile(None)
    assert not started_threads


async def test_tasks_that_nobody_holds_on_to_go_on() -> None:
    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    task = weakref.ref(spawn(work()))
    await asyncio.sleep(0)
    gc.collect()
    running = task()
    assert running is not None
    running.cancel()


async def test_tasks_inherit_nothing() -> None:
    seen: list[str | None] = []

    async def work() -> None:
        seen.append(translation.get_language())

    with translation.override("de"):
        await spawn(work())
    assert seen == ["en-us"]


class InATestCase(TestCase):
    """A TestCase keeps its transaction in its own thread, so live views must work there too."""

    @override_settings(ROOT_URLCONF="tests.live.urls")
    async def test_work_runs_where_the_transaction_is(self) -> None:
        await get_user_model().objects.acreate(username="ada")
        main = await sync_to_async(thread_name)()
        assert await workers.run(thread_name) == main
        assert await workers.run(_count_users, refresh=True) == 1
        async with own_thread():
            assert await sync_to_async(thread_name)() == main
        async with live("/counter/") as socket:
            await started(socket)
            assert len(await socket.call(1, "add")) == 2
            assert len(await socket.call(2, "aadd")) == 2

    @override_settings(ROOT_URLCONF="tests.live.urls")
    async def test_mounts_at_the_same_time_leave_the_transaction_open(self) -> None:
        await get_user_model().objects.acreate(username="ada")
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(live("/counter/")) for _ in range(5)]
            await asyncio.gather(*(started(socket) for socket in sockets))
        assert await sync_to_async(_count_users)() == 1
        for signal in (request_started, request_finished):
            assert signal.disconnect(close_old_connections), "and requests close connections again"
            signal.connect(close_old_connections)


def _count_users() -> int:
    assert transaction.get_connection().in_atomic_block
    return User.objects.count()


# What surrounds a request


def test_the_context_of_a_request_is_restored_and_put_back() -> None:
    with translation.override("de"), timezone.override(get_fixed_timezone(60)):
        set_urlconf("tests.urls")
        set_script_prefix("/app/")
        ambient = Ambient.capture()
        set_urlconf(None)
        set_script_prefix("/")

    def work() -> None:
        with ambient.restored():
            assert translation.get_language() == "de"
            assert timezone.get_current_timezone_name() == "+0100"
            assert get_urlconf() == "tests.urls"
            assert get_script_prefix() == "/app/"
            raise LookupError

    with translation.override("fr"):
        with pytest.raises(LookupError):
            work()
        assert translation.get_language() == "fr"
        assert timezone.get_current_timezone_name() != "+0100"
        assert get_urlconf() is None
        assert get_script_prefix() == "/"


class Surroundings:
    """Sync middleware as sites have it."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        with translation.override(request.GET.get("language")), timezone.override(request.GET.get("zone")):
            return self.get_response(request)


async def test_pages_keep_their_language_zone_and_prefix(settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Surroundings"]
    german = live("/app/ambient/?language=de&zone=Asia/Tokyo", root_path="/app")
    async with german as one, live("/ambient/?language=fr&zone=Europe/Paris") as other:
        assert "Montag Asia/Tokyo /app/ambient/ 0" in (await started(one))["*"]
        assert "lundi Europe/Paris /ambient/ 0" in (await started(other))["*"]
        for ref in range(1, 4):
            render, _ = await one.call(ref, "add")
            assert f"Montag Asia/Tokyo /app/ambient/ {ref}" in render["regions"]["*"]
            render, _ = await other.call(ref, "add")
            assert f"lundi Europe/Paris /ambient/ {ref}" in render["regions"]["*"]
        render, _ = await one.call(4, "aadd")
        assert "Montag Asia/Tokyo /app/ambient/ True" in render["regions"]["*"]
    assert translation.get_language() == "en-us"


# Connections


@pytest.mark.django_db(transaction=True)
async def test_a_connection_that_was_lost_is_replaced() -> None:
    def work() -> bool:
        User.objects.count()
        checked = not connection.errors_occurred
        connection.errors_occurred = True  # as after a lost connection
        return checked

    assert [await workers.run(work) for _ in range(3)] == [True] * 3


@pytest.mark.django_db(transaction=True)
async def test_a_connection_that_has_become_too_old_is_closed_before_anything_uses_it() -> None:
    def work() -> Any:
        User.objects.count()
        connection.close_at = None
        return connection.connection

    def grow_old() -> None:
        connection.close_at = time.monotonic()

    first = await workers.run(work)
    assert await workers.run(work) is first
    async with workers.hold():
        await sync_to_async(grow_old)()
    assert await workers.run(work) is not first
    await workers.run(lambda: connection.close())


@pytest.mark.django_db(transaction=True)
async def test_a_connection_that_may_not_last_is_closed_at_once() -> None:
    def work() -> Any:
        User.objects.count()
        connection.close_at = time.monotonic()
        return connection.connection

    assert _is_closed(await workers.run(work))


@pytest.mark.django_db(transaction=True)
async def test_async_code_leaves_no_connection_behind() -> None:
    def work() -> Any:
        User.objects.count()
        return connections["default"]

    async with own_thread():
        used = await sync_to_async(work)()
        assert used.connection
    await until(lambda: used.connection is None, 5)


def _is_closed(used: Any) -> bool:
    try:
        used.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False


def thread_name() -> str:
    return threading.current_thread().name
