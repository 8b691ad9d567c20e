"""Access checks of pages that keep their views busy: they still get their turn."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any, ClassVar, Self

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.mixins import PermissionRequiredMixin, UserPassesTestMixin
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import path
from pytest_django import Settings

from djust_presence import LiveCursorMixin, presence
from djust_presence.events import event_handler
from djust_presence.hosts.access_failures import AT_ONCE
from tests.live.conftest import Socket
from tests.until import until

from .test_access import close_code, opened
from .views import Here

pytestmark = pytest.mark.django_db(transaction=True)

INTERVAL = 0.5
LONG = 0.4  # seconds of a handler
OUTSTANDING = 5
BOUND = INTERVAL + 5


class Busy(LiveCursorMixin, Here):
    presence_unique_per_connection = False
    done: ClassVar[list[float]]
    inside: ClassVar[threading.Event]
    leave: ClassVar[threading.Event]
    names: ClassVar[list[tuple[str, str]]]

    @event_handler()
    def work(self) -> None:
        time.sleep(LONG)
        self.done.append(time.monotonic())

    @event_handler()
    async def awork(self) -> None:
        await asyncio.sleep(LONG)
        self.done.append(time.monotonic())

    @event_handler()
    def cursor_move(self, x: float = 0, y: float = 0, **kwargs: Any) -> None:
        self.work()

    @event_handler()
    def hang(self) -> None:
        user: Any = self.request.user
        before = user.first_name
        self.inside.set()
        assert self.leave.wait(30)
        self.names.append((before, user.first_name))

    @event_handler()
    def name(self) -> None:
        user: Any = self.request.user
        self.names.append((user.first_name, user.first_name))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        if getattr(self, "slow", False):
            self.work()
        return super().get_context_data(**kwargs)

    @event_handler()
    def slow_down(self) -> None:
        self.slow = True


class Editors(PermissionRequiredMixin, Busy):
    permission_required = "auth.change_user"


class Staff(UserPassesTestMixin, Busy):
    def test_func(self) -> bool:
        user: Any = self.request.user
        return bool(user.is_staff)


class Asking(Busy):
    answer: ClassVar[bool]
    asked: ClassVar[int]

    def still_allowed(self, user: Any) -> bool:
        Asking.asked += 1
        return self.answer


class HangingCheck(Busy):
    def still_allowed(self, user: Any) -> bool:
        self.inside.set()
        assert self.leave.wait(30)
        return True


urlpatterns = [
    path("editors/", Editors.as_view()),
    path("staff/", Staff.as_view()),
    path("asking/", Asking.as_view()),
    path("hanging/", HangingCheck.as_view()),
    path("busy/", Busy.as_view()),
]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> Any:
    settings.ROOT_URLCONF = __name__
    settings.DJUST_PRESENCE = {"REAUTH_INTERVAL": INTERVAL, "GRACE": 60, "LOST_GRACE": 20}
    Busy.done, Busy.names = [], []
    Asking.answer, Asking.asked = True, 0
    Busy.inside, Busy.leave = threading.Event(), threading.Event()
    yield
    Busy.leave.set()


@pytest.fixture
def ada() -> Any:
    ada = get_user_model().objects.create_user("ada", is_staff=True)
    ada.user_permissions.add(Permission.objects.get(codename="change_user"))
    return ada


@pytest.fixture
def client(ada: Any) -> Client:
    client = Client()
    client.force_login(ada)
    return client


class Busying:
    """A client that never lets the view of its page come to rest."""

    def __init__(self, socket: Socket, how: str) -> None:
        self.socket = socket
        self.how = how
        self._number = 0

    async def __aenter__(self) -> Self:
        if self.how in ("work", "awork"):
            for _ in range(OUTSTANDING):
                await self._send_event()
        else:
            self._feeding = asyncio.create_task(self._feed())
        self.closed = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self.how not in ("work", "awork"):
            self._feeding.cancel()
        self.closed.cancel()
        await self.socket.disconnect(timeout=5)

    async def _send_event(self) -> None:
        self._number += 1
        await self.socket.send_event(self._number, self.how)

    async def _read(self) -> int:
        while (message := await self.socket.receive_output(timeout=60))["type"] != "websocket.close":
            if json.loads(message["text"])["type"] == "ack":
                await self._send_event()
        return int(message["code"])

    async def _feed(self) -> None:
        """Twice as much as the view can do."""
        if self.how == "refreshes":
            await self.socket.send_event(None, "slow_down")
        while True:
            self._number += 1
            if self.how == "refreshes":
                await presence.ajoin("here", "worker", {"number": self._number})
            else:
                await self.socket.send_json_to({"type": "cursor", "x": self._number, "y": 1})
            await asyncio.sleep(LONG / 2)


@pytest.mark.parametrize("how", ["work", "awork", "cursor_move", "refreshes"])
@pytest.mark.parametrize("url", ["/editors/", "/staff/", "/asking/"])
async def test_a_page_that_is_kept_busy_is_closed_when_its_visitor_loses_access(
    client: Client, ada: Any, url: str, how: str
) -> None:
    async with Busying(await opened(client, url), how) as page:
        await until(lambda: did(2))
        Asking.answer = ada.is_staff = False
        await ada.asave()
        await ada.user_permissions.aclear()
        assert await asyncio.wait_for(page.closed, BOUND) == 4403


async def did(times: int) -> bool:
    return len(Busy.done) >= times


@pytest.mark.parametrize("how", ["work", "awork"])
async def test_a_page_that_is_kept_busy_and_may_be_seen_goes_on(client: Client, how: str) -> None:
    async with Busying(await opened(client, "/asking/"), how) as page:
        await until(lambda: asked(3))
        assert not page.closed.done()


async def asked(times: int) -> bool:
    return Asking.asked >= times


async def test_the_user_of_a_busy_page_does_not_change_while_a_handler_runs(client: Client, ada: Any) -> None:
    socket = await opened(client, "/busy/")
    await socket.send_event(1, "hang")
    await asyncio.to_thread(Busy.inside.wait, 10)
    ada.first_name = "Augusta"
    await ada.asave()
    other = await opened(client, "/asking/")
    await until(lambda: asked(2))  # so the other page has been checked since, and this one too
    Busy.leave.set()
    while (frame := await socket.frame())["type"] != "ack":
        pass
    assert Busy.names == [("", "")]
    await socket.call(2, "name")
    assert Busy.names[1:] == [("Augusta", "Augusta")]
    assert frame["ref"] == 1
    await socket.disconnect()
    await other.disconnect()


# What hangs


async def test_a_page_whose_handler_hangs_through_a_whole_interval_is_closed_and_may_come_back(
    client: Client,
) -> None:
    socket = await opened(client, "/asking/")
    await socket.send_event(1, "hang")
    assert await asyncio.to_thread(Busy.inside.wait, 10)
    assert await close_code(socket) == 4000
    again = await opened(client, "/asking/")
    assert (await again.call(1, "nothing"))[-1] == {"type": "ack", "ref": 1}
    await again.disconnect()


async def test_a_page_whose_view_has_no_say_is_not_closed_for_a_handler_that_hangs(client: Client) -> None:
    socket, other = await opened(client, "/busy/"), await opened(client, "/asking/")
    await socket.send_event(1, "hang")
    seen = Asking.asked
    await until(lambda: asked(seen + 3))
    Busy.leave.set()
    while (await socket.frame())["type"] != "ack":
        pass
    await socket.disconnect()
    await other.disconnect()


async def test_a_log_out_closes_a_page_while_its_handler_hangs(client: Client) -> None:
    socket = await opened(client, "/busy/")
    await socket.send_event(1, "hang")
    assert await asyncio.to_thread(Busy.inside.wait, 10)
    await client.session.adelete()
    assert await close_code(socket) == 4401


async def test_checks_that_hang_keep_no_other_page_from_being_checked(client: Client) -> None:
    hanging = [await opened(client, "/hanging/") for _ in range(AT_ONCE - 1)]
    assert await asyncio.to_thread(Busy.inside.wait, 10)
    other = await opened(client, "/asking/")
    await until(lambda: asked(2))
    Asking.answer = False
    assert await close_code(other) == 4403
    assert [await close_code(one) for one in hanging] == [4000] * len(hanging)
