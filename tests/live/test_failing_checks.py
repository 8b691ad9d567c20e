"""An access check that fails affects its own visitor, and nobody else."""

from __future__ import annotations

import gc
from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path
from pytest_django import Settings

from djust_presence.hosts.access import current_users
from djust_presence.hosts.access_failures import MAX_FAILURES
from tests.until import until

from .failing_sessions import SessionStore
from .test_access import close_code, opened, visitor
from .views import Here

pytestmark = pytest.mark.django_db(transaction=True)

BACKEND = f"{__name__}.Directory"


class Directory(ModelBackend):
    """Fails for some users, as a directory does that has lost them."""

    lost: ClassVar[set[str]] = set()

    def get_user(self, user_id: Any) -> Any:
        user = super().get_user(user_id)
        if user and user.get_username() in self.lost:
            raise RuntimeError("the directory has no answer")
        return user


class Rule(Here):
    asked: ClassVar[list[str]] = []
    errors: ClassVar[list[Exception]] = []  # of the next times that it is asked for ada

    def still_allowed(self, user: Any) -> bool:
        self.asked.append(user.username)
        if self.errors and user.username == "ada":
            raise self.errors.pop()
        return True


urlpatterns = [path("rule/", Rule.as_view())]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.ROOT_URLCONF = __name__
    settings.DJUST_PRESENCE = {"REAUTH_INTERVAL": 0.3, "GRACE": 60}
    settings.AUTHENTICATION_BACKENDS = [BACKEND, "django.contrib.auth.backends.ModelBackend"]
    Directory.lost, SessionStore.broken = set(), False
    Rule.asked, Rule.errors = [], []


@pytest.fixture
def people() -> dict[str, Any]:
    return {name: get_user_model().objects.create_user(name) for name in ("ada", "grace", "edith")}


async def page(user: Any, backend: str = BACKEND, **session: Any) -> Any:
    client = Client()
    await sync_to_async(client.force_login)(user, backend)

    def put() -> None:
        stored = client.session
        stored.update(session)
        stored.save()

    await sync_to_async(put)()
    return await opened(client, "/rule/")


async def rounds(number: int, name: str = "edith") -> None:
    """Wait for so many whole checks, of which this person's is a part."""
    seen = Rule.asked.count(name)

    async def past() -> bool:
        return Rule.asked.count(name) > seen + number

    await until(past)


@pytest.mark.parametrize("what", ["backend", "session"])
async def test_one_visitor_whose_check_fails_does_not_keep_the_others_from_being_checked(
    what: str, people: dict[str, Any], settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SESSION_ENGINE = "tests.live.failing_sessions"
    ada = await page(people["ada"], broken=True)
    grace, edith = await page(people["grace"]), await page(people["edith"])
    gc.collect()
    await rounds(1)
    caplog.clear()
    if what == "backend":
        Directory.lost = {"ada"}
    else:
        SessionStore.broken = True
    people["grace"].is_active = False
    await people["grace"].asave()
    assert await close_code(grace) == 4401
    # Ada's check fails while others' work: her page has to come back through the middleware.
    assert await close_code(ada) == 4000
    await rounds(2)
    assert caplog.text.count("Could not re-check access to open pages") == 1
    assert "at '/rule/'" in caplog.text
    assert "Access to open pages is checked again" in caplog.text
    await edith.disconnect()


async def test_a_check_that_fails_for_everybody_closes_nobody_however_long_it_lasts(
    people: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    pages = [await page(people["ada"]), await page(people["grace"])]
    edith = await page(people["edith"], "django.contrib.auth.backends.ModelBackend")
    gc.collect()  # with pages of earlier tests go their failures
    await rounds(1)
    caplog.clear()
    Directory.lost = {"ada", "grace"}  # this backend is away, and the other one works
    await rounds(2 * MAX_FAILURES)
    for one in pages:
        assert (await one.call(1, "nothing"))[-1] == {"type": "ack", "ref": 1}
    Directory.lost = set()
    await rounds(2)
    assert caplog.text.count("Could not re-check access to open pages") == 1
    assert caplog.text.count("Access to open pages is checked again") == 1
    for one in (*pages, edith):
        await one.disconnect()


async def test_a_rule_that_fails_closes_its_own_page_and_none_if_there_is_no_database_to_ask(
    people: dict[str, Any],
) -> None:
    ada, edith = await page(people["ada"]), await page(people["edith"])
    Rule.errors = [OperationalError("the server closed the connection unexpectedly")]
    await until(lambda: not Rule.errors)
    await rounds(1)
    assert (await ada.call(1, "nothing"))[-1] == {"type": "ack", "ref": 1}
    Rule.errors = [RuntimeError("a rule's failure")]
    assert await close_code(ada) == 4500
    await rounds(1)
    await edith.disconnect()


def test_one_that_fails_among_many_is_found_without_more_queries_than_visitors(settings: Settings) -> None:
    settings.SESSION_ENGINE = "tests.live.failing_sessions"
    users = [get_user_model().objects.create_user(f"user-{n}") for n in range(10)]
    visitors = [visitor(user, BACKEND) for user in users]
    Directory.lost = {"user-3"}
    with CaptureQueriesContext(connection) as queries:
        access = current_users(visitors)
    assert [*access.errors] == [visitors[3]]
    assert access.users == {one: user for one, user in zip(visitors, users, strict=True) if user != users[3]}
    assert len(queries) <= 1 + 2 * len(users)


def test_in_an_outage_not_everybody_is_tried_alone() -> None:
    users = [get_user_model().objects.create_user(f"user-{n}") for n in range(10)]
    visitors = [visitor(user, BACKEND) for user in users]
    Directory.lost = {user.username for user in users}
    with CaptureQueriesContext(connection) as queries:
        access = current_users(visitors)
    assert access.errors.keys() == set(visitors)
    assert len(queries) <= 5
