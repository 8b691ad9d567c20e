from __future__ import annotations

import asyncio
import threading
from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model, update_session_auth_hash
from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin, UserPassesTestMixin
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session as SessionRow
from django.core.exceptions import PermissionDenied
from django.db import connections, transaction
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import path
from pytest_django import Settings

from djust_presence import presence
from djust_presence.bus import NOTICES, LocalBus
from djust_presence.events import event_handler
from djust_presence.hosts.access import Visitor, current_users
from djust_presence.hosts.log_ins import ENDED
from djust_presence.hosts.sessions import mark_of, move_in, received
from tests.live.conftest import Socket, live
from tests.until import until

from .views import Here

pytestmark = pytest.mark.django_db(transaction=True)

FAST = {"REAUTH_INTERVAL": 0.2, "GRACE": 60}
ENGINES = {
    "db": "django.contrib.sessions.backends.db",
    "cached_db": "django.contrib.sessions.backends.cached_db",
    "cache": "django.contrib.sessions.backends.cache",
    "file": "django.contrib.sessions.backends.file",
    "signed_cookies": "django.contrib.sessions.backends.signed_cookies",
}


class Known(Here):
    presence_unique_per_connection = False


class Members(LoginRequiredMixin, Known):
    pass


class Editors(PermissionRequiredMixin, Known):
    permission_required = "auth.change_user"


class Staff(UserPassesTestMixin, Known):
    def test_func(self) -> bool:
        return bool(self.request.user.is_staff)


class Asking(Known):
    answer: ClassVar[Any] = True
    asked: ClassVar[list[Any]] = []

    def still_allowed(self, user: Any) -> bool:
        assert user == self.request.user
        self.asked.append(user)
        if isinstance(self.answer, Exception):
            raise self.answer
        return bool(self.answer)


class AsyncAsking(Known):
    asked: ClassVar[list[Any]] = []

    async def still_allowed(self, user: Any) -> bool:
        self.asked.append(user)
        return bool(await user.groups.acount())


class Holding(Asking):
    """Its handler and its check must never run at the same time."""

    asked: ClassVar[list[Any]] = []  # not that of the other pages
    inside: ClassVar[threading.Event]
    leave: ClassVar[threading.Event]

    @event_handler()
    def hold(self) -> None:
        self.inside.set()
        assert self.leave.wait(10)
        assert not self.asked


urlpatterns = [
    path("known/", Known.as_view()),
    path("members/", Members.as_view()),
    path("editors/", Editors.as_view()),
    path("staff/", Staff.as_view()),
    path("asking/", Asking.as_view()),
    path("async-asking/", AsyncAsking.as_view()),
    path("holding/", Holding.as_view()),
]


@pytest.fixture(autouse=True)
def site(settings: Settings, tmp_path: Any) -> None:
    settings.ROOT_URLCONF = __name__
    settings.DJUST_PRESENCE = FAST
    settings.SESSION_FILE_PATH = str(tmp_path)
    Asking.answer = True
    for view in (Asking, AsyncAsking, Holding):
        view.asked = []


@pytest.fixture
def ada() -> Any:
    return get_user_model().objects.create_user("ada", password="first")


@pytest.fixture
def client(ada: Any) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def cookies(client: Client) -> tuple[bytes, bytes]:
    return b"cookie", client.cookies.output(header="", sep=";").encode()


async def opened(client: Client, url: str) -> Socket:
    """The page of *client*, live."""
    response = await sync_to_async(client.get)(url)
    assert response.status_code == 200, response
    socket = Socket(url, cookies(client))
    assert (await socket.connect(timeout=5))[0]
    while (await socket.frame())["type"] != "render":
        pass
    return socket


async def close_code(socket: Socket) -> int:
    while True:
        message = await socket.receive_output(timeout=10)
        if message["type"] == "websocket.close":
            await socket.disconnect()
            code = message["code"]
            assert isinstance(code, int)
            return code


async def present() -> list[str]:
    return [record["name"] for record in await presence.alist("here")]


# What ends a visit


@pytest.mark.parametrize("engine", ENGINES)
async def test_logging_out_closes_the_pages_of_that_session_at_once(
    engine: str, ada: Any, settings: Settings
) -> None:
    settings.SESSION_ENGINE = ENGINES[engine]
    settings.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0, "GRACE": 60}
    here, elsewhere = Client(), Client()
    for client in (here, elsewhere):
        await sync_to_async(client.force_login)(ada)
    first, second = await opened(here, "/members/"), await opened(here, "/known/")
    third = await opened(elsewhere, "/members/")
    await sync_to_async(here.logout)()
    assert [await close_code(first), await close_code(second)] == [4401, 4401]
    assert (await third.call(1, "nothing"))[-1] == {"type": "ack", "ref": 1}
    await until(_here)
    await third.disconnect()


async def test_a_visitor_who_logged_out_is_gone_at_once_whatever_the_grace(client: Client) -> None:
    socket = await opened(client, "/members/")
    await until(_here)
    await sync_to_async(client.logout)()
    assert await close_code(socket) == 4401
    await until(_gone)


async def test_a_page_that_reloads_before_a_log_out_is_committed_is_closed_as_well(
    ada: Any, settings: Settings
) -> None:
    settings.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0}
    client = Client()
    await sync_to_async(client.force_login)(ada)
    socket = await opened(client, "/members/")
    reloaded = threading.Event()

    def log_out() -> None:
        try:
            with transaction.atomic():
                client.logout()
                assert reloaded.wait(10)
        finally:
            connections.close_all()

    again = Socket("/members/", cookies(client))
    leaving = asyncio.create_task(sync_to_async(log_out, thread_sensitive=False)())
    assert await close_code(socket) == 4401
    assert (await again.connect(timeout=5))[0]
    while (await again.frame())["type"] != "render":
        pass
    reloaded.set()
    assert await close_code(again) == 4401
    await leaving


async def _here() -> bool:
    return await present() == ["ada"]


async def _gone() -> bool:
    return not await present()


@pytest.mark.parametrize("engine", ["db", "signed_cookies"])
async def test_logging_in_reloads_the_pages_of_the_visitor(engine: str, ada: Any, settings: Settings) -> None:
    settings.SESSION_ENGINE = ENGINES[engine]
    settings.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0}
    client, other = Client(), Client()
    socket, unaffected = await opened(client, "/known/"), await opened(other, "/known/")

    def log_in() -> None:
        from django.contrib.auth import login

        request = RequestFactory().get("/")
        request.COOKIES = {name: morsel.value for name, morsel in client.cookies.items()}
        request.session = client.session
        login(request, ada, "django.contrib.auth.backends.ModelBackend")

    await sync_to_async(log_in)()
    assert await close_code(socket) == 4401
    assert (await unaffected.call(1, "nothing"))[-1] == {"type": "ack", "ref": 1}
    await unaffected.disconnect()


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache", "file"])
async def test_a_session_that_is_gone_is_noticed(engine: str, ada: Any, settings: Settings) -> None:
    settings.SESSION_ENGINE = ENGINES[engine]
    client, guest = Client(), Client()
    await sync_to_async(client.force_login)(ada)
    member, visitor = await opened(client, "/members/"), await opened(guest, "/known/")
    for one in (client, guest):
        await sync_to_async(one.session.delete)()
    assert [await close_code(member), await close_code(visitor)] == [4401, 4401]


async def test_an_expired_session_is_noticed(client: Client) -> None:
    socket = await opened(client, "/members/")
    await SessionRow.objects.aupdate(expire_date="2020-01-01T00:00:00Z")
    assert await close_code(socket) == 4401


@pytest.mark.parametrize("engine", ["db", "cache", "signed_cookies"])
async def test_a_changed_password_ends_all_other_visits(engine: str, ada: Any, settings: Settings) -> None:
    settings.SESSION_ENGINE = ENGINES[engine]
    client = Client()
    await sync_to_async(client.force_login)(ada)
    socket = await opened(client, "/members/")
    await sync_to_async(ada.set_password)("second")
    await ada.asave()
    assert await close_code(socket) == 4401
    await until(_gone)


async def test_a_user_who_changed_the_password_reloads_and_stays(client: Client, ada: Any) -> None:
    socket = await opened(client, "/members/")

    def change() -> str:
        request = RequestFactory().get("/")
        request.session, request.user = client.session, ada
        ada.set_password("second")
        ada.save()
        update_session_auth_hash(request, ada)
        request.session.save()
        return str(request.session.session_key)

    client.cookies["sessionid"] = await sync_to_async(change)()
    assert await close_code(socket) == 4401
    await (await opened(client, "/members/")).disconnect()


@pytest.mark.parametrize("engine", ["db", "signed_cookies"])
async def test_a_deactivated_user_is_noticed(engine: str, ada: Any, settings: Settings) -> None:
    settings.SESSION_ENGINE = ENGINES[engine]
    client = Client()
    await sync_to_async(client.force_login)(ada)
    socket = await opened(client, "/members/")
    ada.is_active = False
    await ada.asave()
    assert await close_code(socket) == 4401


async def test_a_deleted_user_is_noticed(client: Client, ada: Any) -> None:
    socket = await opened(client, "/members/")
    await ada.adelete()
    assert await close_code(socket) == 4401


@pytest.mark.parametrize(("url", "spoil"), [("/editors/", "permission"), ("/staff/", "staff")])
async def test_a_lost_permission_is_noticed(client: Client, ada: Any, url: str, spoil: str) -> None:
    permission = await Permission.objects.aget(codename="change_user")
    await ada.user_permissions.aadd(permission)
    ada.is_staff = True
    await ada.asave()
    socket = await opened(client, url)
    if spoil == "permission":
        await ada.user_permissions.aclear()
    else:
        ada.is_staff = False
        await ada.asave()
    assert await close_code(socket) == 4403
    await until(_gone)


# The view's own say


async def test_a_view_says_who_is_still_allowed(client: Client, ada: Any) -> None:
    socket = await opened(client, "/asking/")
    await until(lambda: _asked(2))
    assert set(Asking.asked) == {ada}
    Asking.answer = False
    assert await close_code(socket) == 4403


async def test_a_view_may_say_it_in_async_code(client: Client, ada: Any) -> None:
    await ada.groups.acreate(name="readers")
    socket = await opened(client, "/async-asking/")
    await until(lambda: _asked(2, AsyncAsking))
    assert (await socket.call(1, "nothing"))[-1] == {"type": "ack", "ref": 1}
    await ada.groups.aclear()
    assert await close_code(socket) == 4403


@pytest.mark.parametrize(("answer", "code"), [(PermissionDenied(), 4403), (RuntimeError("broken"), 4500)])
async def test_an_answer_that_fails_lets_nobody_stay(
    client: Client, answer: Exception, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    socket = await opened(client, "/asking/")
    Asking.answer = answer
    assert await close_code(socket) == code
    assert ("still_allowed() failed" in caplog.text) == (code == 4500)


async def test_a_visitor_who_is_not_logged_in_can_be_asked_about(settings: Settings) -> None:
    socket = await opened(Client(), "/asking/")
    await until(lambda: _asked(1))
    assert not Asking.asked[0].is_authenticated
    await socket.disconnect()


async def test_nothing_else_is_done_with_a_view_that_is_asked(client: Client, settings: Settings) -> None:
    settings.DJUST_PRESENCE = FAST | {"REAUTH_INTERVAL": 1}  # a handler may take no longer
    Holding.inside, Holding.leave = threading.Event(), threading.Event()
    other = await opened(client, "/asking/")
    socket = await opened(client, "/holding/")
    await until(lambda: _asked(1, Holding))
    await socket.send_event(1, "hold")
    await asyncio.to_thread(Holding.inside.wait, 10)
    Holding.asked, Asking.asked = [], []
    await until(lambda: _asked(1))  # a check, and none of this view
    Holding.leave.set()
    while (frame := await socket.frame())["type"] != "ack":
        assert frame["type"] != "error", frame
    await until(lambda: _asked(1, Holding))
    await socket.disconnect()
    await other.disconnect()


async def _asked(times: int, view: type[Asking | AsyncAsking] = Asking) -> bool:
    return len(view.asked) >= times


async def test_a_view_sees_its_user_as_they_are_by_now(client: Client, ada: Any) -> None:
    socket = await opened(client, "/asking/")
    ada.first_name = "Augusta"
    await ada.asave()

    async def renamed() -> bool:
        return bool(Asking.asked and Asking.asked[-1].first_name == "Augusta")

    await until(renamed)
    await socket.disconnect()


# What it costs, and what goes wrong


@pytest.mark.parametrize("engine", ["db", "cached_db"])
def test_all_visits_are_checked_with_two_queries(engine: str, settings: Settings) -> None:
    settings.SESSION_ENGINE = ENGINES[engine]
    users = [get_user_model().objects.create_user(f"user-{n}") for n in range(5)]
    visitors = [visitor(user) for user in users]
    with CaptureQueriesContext(_connection()) as queries:
        access = current_users([*visitors, *visitors])
    assert len(queries) == 2
    assert [access.users[one] for one in visitors] == users


def test_with_sessions_in_a_cache_there_is_one_query(settings: Settings) -> None:
    settings.SESSION_ENGINE = ENGINES["cache"]
    users = [get_user_model().objects.create_user(f"user-{n}") for n in range(3)]
    visitors = [visitor(user) for user in users]
    with CaptureQueriesContext(_connection()) as queries:
        assert len(current_users(visitors).users) == 3
    assert len(queries) == 1


def _connection() -> Any:
    from django.db import connection

    return connection


def visitor(user: Any, backend: str | None = None) -> Visitor:
    client = Client()
    client.force_login(user, backend)
    request: HttpRequest = RequestFactory().get("/")
    request.user = user
    request.session = received(client.session)
    move_in(request)
    return Visitor.of(request)


async def test_a_check_that_fails_closes_nobody(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    socket = await opened(client, "/members/")
    from django.db import connection

    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    await sync_to_async(rename)("auth_user", "auth_user_away")
    try:

        async def failed() -> bool:
            return "Could not re-check access" in caplog.text

        await until(failed)
        assert (await socket.call(1, "nothing"))[-1] == {"type": "ack", "ref": 1}
    finally:
        await sync_to_async(rename)("auth_user_away", "auth_user")

    async def told() -> bool:
        return "pages is checked again" in caplog.text

    await until(told)
    assert caplog.text.count("Could not re-check access") == 1
    await socket.disconnect()


async def test_a_malformed_notice_closes_nobody(client: Client, settings: Settings) -> None:
    settings.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0, "GRACE": 60}
    ada = await opened(client, "/members/")
    elsewhere = LocalBus(lambda key, items: None)
    async with live("/known/") as guest:  # a page without a session
        await guest.frame()
        odd: list[list[Any]] = [
            [ENDED],
            [ENDED, None],
            [ENDED, ""],
            [ENDED, 7],
            [ENDED, [None]],
            [ENDED, None, None],
            ["unknown", None],
        ]
        elsewhere.publish(NOTICES, odd)
        await guest.call(1, "nothing")
        assert (await guest.call(2, "nothing"))[-1] == {"type": "ack", "ref": 2}
        assert (await ada.call(1, "nothing"))[-1] == {"type": "ack", "ref": 1}
        assert client.session.session_key
        elsewhere.publish(NOTICES, [*odd, [ENDED, mark_of(client.session.session_key)]])
        assert await ada.closed() == 4401
        assert (await guest.call(3, "nothing"))[-1] == {"type": "ack", "ref": 3}


def test_nobody_can_get_from_the_mark_of_a_session_to_its_key() -> None:
    assert mark_of("key") == mark_of("key") != mark_of("another")
    assert "key" not in mark_of("key")


async def test_an_interval_of_nothing_checks_never(client: Client, settings: Settings) -> None:
    settings.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0, "HEARTBEAT_INTERVAL": 0.2, "TIMEOUT": 60}
    async with live("/asking/", cookies(client)) as socket:
        frames = [await socket.frame() for _ in range(6)]
        assert [frame["type"] for frame in frames].count("ping") >= 2
        assert Asking.asked == []
