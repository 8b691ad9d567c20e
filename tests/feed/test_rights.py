"""Checks of the right to a room: at a join by an old ticket, and while the page is open."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from djust_presence.feed.asking import Asking
from djust_presence.feed.rights import Right, answers, authorize
from djust_presence.feed.tickets import LIFE, Ticket
from djust_presence.hosts.surroundings import Surroundings
from tests.feed.objects import Answers, may_join
from tests.feed.pages import issue, opened
from tests.pages import PEOPLE
from tests.until import until

pytestmark = [
    pytest.mark.usefixtures("feed_site", "quiet_presence", "ask"),
]


@pytest.fixture
def ask(feed_site: Settings, transactional_db: None) -> Iterator[None]:
    for name, pk in PEOPLE.items():
        User.objects.create(pk=pk, username=name)
    Answers.by_key, Answers.asked = {}, []
    feed_site.DJUST_PRESENCE = {"AUTHORIZE": "tests.feed.objects.may_join", "REAUTH_INTERVAL": 0.2}
    yield
    if hasattr(Group, "may_see_presence"):
        del Group.may_see_presence


def of(name: str) -> AsyncClient:
    client = AsyncClient()
    client.cookies["user"] = name
    return client


def old(key: str, **fields: Any) -> str:
    then = int(time.time()) - 100
    return issue(key, issued=then, begun=then, **fields)


async def test_nobody_is_asked_about_a_ticket_that_was_just_issued(feed_site: Settings) -> None:
    feed_site.DJUST_PRESENCE = {"AUTHORIZE": may_join}
    async with opened(of("ada")) as ada:
        await ada.join("site")
        assert Answers.asked == []


@pytest.mark.parametrize(
    "function", [may_join, "tests.feed.objects.may_join", "tests.feed.objects.amay_join"]
)
async def test_authorize_is_asked_about_an_old_ticket(function: Any, feed_site: Settings) -> None:
    feed_site.DJUST_PRESENCE = {"AUTHORIZE": function}
    Answers.by_key = {"no": False}
    async with opened(of("ada")) as ada:
        await ada.join("yes", old("yes"))
        await ada.join("no", old("no"), until="refused")
        assert ada.refused == {"no": "forbidden"}
        assert Answers.asked == [("yes", "ada"), ("no", "ada")]


async def test_authorize_is_asked_again_while_the_page_is_open() -> None:
    async with opened(of("ada")) as ada, opened(of("grace")) as grace:
        for page in (ada, grace):
            await page.join("a")
            await page.join("b")
        await until(lambda: len(Answers.asked) >= 8)
        Answers.by_key = {"a": False}
        await ada.until(lambda: ada.refused == {"a": "forbidden"})
        assert ("a", "ada") in Answers.asked
        await ada.say("send", "a", event="x")
        await ada.say("update", "b", meta={"status": "still here"})
        await grace.until(lambda: "still here" in "".join(grace.texts))
        assert grace.refused == {"a": "forbidden"}


async def test_a_visitor_who_loses_the_right_is_gone_at_once(feed_site: Settings) -> None:
    feed_site.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0.2, "GRACE": 60}
    group = await Group.objects.acreate(name="x")
    key = f"auth.group:{group.pk}"
    async with opened(of("grace")) as grace:
        await grace.join(key, issue(key, model="auth.group"))
        async with opened(of("ada")) as ada:
            await ada.join(key, issue(key, model="auth.group"))
            await grace.until_names(key, "ada", "grace")
            Group.may_see_presence = lambda one, user: str(user) == "grace"  # type: ignore[attr-defined]
            await ada.until(lambda: ada.refused == {key: "forbidden"})
            await grace.until_names(key, "grace")


async def test_an_object_that_is_gone_ends_its_room(feed_site: Settings) -> None:
    feed_site.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0.2}
    group = await Group.objects.acreate(name="x")
    key = f"auth.group:{group.pk}"
    async with opened(of("ada")) as ada:
        await ada.join(key, issue(key, model="auth.group"))
        await ada.join("site")
        await group.adelete()
        await ada.until(lambda: ada.refused == {key: "gone"})
        await ada.join(key, old(key, model="auth.group"), until="refused")
        await ada.join("site")


async def test_an_object_without_an_opinion_lets_everybody_in(feed_site: Settings) -> None:
    feed_site.DJUST_PRESENCE = {}
    group = await Group.objects.acreate(name="x")
    key = f"auth.group:{group.pk}"
    async with opened(of("ada")) as ada:
        await ada.join(key, old(key, model="auth.group"))


async def test_all_objects_of_a_model_take_one_query(rf: Any, feed_site: Settings) -> None:
    feed_site.DJUST_PRESENCE = {}

    def found() -> tuple[list[Any], int]:
        groups = [Group.objects.create(name=f"g{number}") for number in range(5)]
        keys = [f"auth.group:{group.pk}" for group in groups] + ["auth.group:999999"]
        rights = [Right(rf.get("/"), Ticket(key, True, model="auth.group")) for key in keys for _ in range(3)]
        with CaptureQueriesContext(connection) as queries:
            answered = answers(rights)
        return answered, len(queries)

    answered, queries = await sync_to_async(found)()
    assert (answered, queries) == ([""] * 15 + ["gone"] * 3, 1)


def test_a_failure_for_one_room_costs_no_other_one(rf: Any) -> None:
    error = ValueError("no")
    Answers.by_key = {"b": error}
    request = rf.get("/")
    request.user = "ada"
    rights = [Right(request, Ticket(name, True)) for name in ("a", "b", "c")]
    assert answers(rights) == ["", error, ""]


def test_a_model_that_there_is_no_longer_costs_no_other_room(rf: Any, feed_site: Settings) -> None:
    feed_site.DJUST_PRESENCE = {}
    rights = [Right(rf.get("/"), Ticket("x.y:1", True, model="x.y")), Right(rf.get("/"), Ticket("a", True))]
    error, fine = answers(rights)
    assert isinstance(error, LookupError)
    assert fine == ""


class AskedRoom:
    """A room whose right is that to the group *name*, of a page in *surroundings*."""

    def __init__(self, name: str, surroundings: Surroundings | None, request: Any) -> None:
        self.right = Right(request, Ticket(name, True), surroundings)
        self.over = False
        self.codes: list[str] = []

    def answered(self, code: str) -> None:
        self.codes.append(code)


class AskedRequest:
    """The request of a page, whose session can be saved, or not."""

    def __init__(self, *, saves: bool = True) -> None:
        self.user = "ada"
        self.opened_messages = None
        self._saves = saves

    @property
    def opened_session(self) -> None:
        if not self._saves:
            raise OSError("The session was not saved.")


async def test_a_page_whose_surroundings_or_session_fail_costs_no_other_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    entered = []

    @contextmanager
    def tenant(name: str) -> Iterator[None]:
        if name == "broken":
            raise LookupError("There is no such tenant.")
        entered.append(name)
        yield

    Answers.by_key = {"b": ValueError("no"), "c": False}
    rooms = [
        AskedRoom("a", partial(tenant, "broken"), AskedRequest()),
        AskedRoom("b", partial(tenant, "fine"), AskedRequest()),
        AskedRoom("c", None, AskedRequest()),
        AskedRoom("c", partial(tenant, "fine"), AskedRequest(saves=False)),
    ]
    asking = Asking()
    for room in rooms:
        asking.ask(room)
    await until(lambda: all(room.codes for room in rooms))
    assert [room.codes for room in rooms] == [[""], [""], ["forbidden"], [""]]
    assert entered == ["fine", "fine"]
    assert "There is no such tenant." in caplog.text


async def test_rooms_stay_open_while_nobody_can_be_asked(caplog: pytest.LogCaptureFixture) -> None:
    Answers.by_key = {"a": RuntimeError("The service is away."), "b": RuntimeError("The service is away.")}
    async with opened(of("ada")) as ada:
        await ada.join("a")
        await ada.join("b", old("b"))
        await until(lambda: len(Answers.asked) > 12)
        Answers.by_key = {}
        asked = len(Answers.asked)
        await until(lambda: len(Answers.asked) > asked + 3)
        assert ada.refused == {}
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 2
    assert lines[0].startswith("Could not re-check access to open rooms, for one of '")
    assert lines[1] == "Access to open rooms is checked again."


async def test_a_room_that_alone_cannot_be_asked_about_ends() -> None:
    Answers.by_key = {"a": RuntimeError("This one is broken.")}
    async with opened(of("ada")) as ada:
        await ada.join("a")
        await ada.join("b")
        await ada.until(lambda: ada.refused == {"a": "forbidden"})


async def test_a_check_that_hangs_holds_up_no_other_page() -> None:
    import threading

    released = threading.Event()
    hanging: list[str] = []

    class Hanging:
        def __bool__(self) -> bool:
            hanging.append("x")
            return released.wait(20)

    Answers.by_key = {"hangs": Hanging()}
    try:
        async with opened(of("ada")) as ada, opened(of("grace")) as grace:
            await ada.join("hangs", old("hangs"), until=None)
            await until(lambda: bool(hanging))
            await grace.join("fine", old("fine"))
            assert grace.names("fine") == ["grace"]
            await ada.join("other", old("other"))
            released.set()
            await ada.until(lambda: ada.names("hangs") == ["ada"])
    finally:
        released.set()


async def test_a_ticket_is_renewed_while_its_page_is_open(feed_site: Settings) -> None:
    feed_site.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0.2}
    then = int(time.time() - LIFE / 2 + 2)
    async with opened(of("ada")) as ada:
        await ada.join("site", issue("site", issued=then, begun=then))
        assert "ticket" not in ada.of("joined")[0]
        again = await ada.until_frame("joined")
        assert again.keys() == {"type", "room", "me", "meta_keys", "ticket"}
        await ada.join("site", again["ticket"])


async def test_a_page_that_leaves_while_it_is_asked_about_is_not_there_afterwards() -> None:
    async with opened(of("ada")) as ada, opened(of("grace")) as grace:
        await grace.join("site")
        await ada.join("site", old("site"), until=None)
        await ada.say("leave", "site")
        await ada.say("ping")
        await ada.until_frame("pong")
        await grace.say("ping")
        await grace.until_frame("pong")
        assert grace.names("site") == ["grace"]


def test_a_path_that_leads_nowhere_says_so(feed_site: Settings) -> None:
    feed_site.DJUST_PRESENCE = {"AUTHORIZE": "tests.feed.objects.nobody"}
    with pytest.raises(ImportError):
        authorize()
