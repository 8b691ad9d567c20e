from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db import models
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from pytest_django import Settings

from djust_presence import PresenceMixin
from djust_presence.keys import checked_user_id, opaque_id, user_id_of

UID = UUID("12345678-1234-5678-1234-567812345678")


class Person(AbstractBaseUser):
    """A custom user model, as Django's documentation has one."""

    uid = models.UUIDField(primary_key=True)

    class Meta:
        app_label = "tests"


def lazily(user: Any) -> Any:
    return SimpleLazyObject(lambda: user)


USERS: list[tuple[Any, str]] = [
    (User(pk=7, username="ada"), "7"),
    (lazily(User(pk=7, username="ada")), "7"),
    (Person(uid=UID), str(UID)),
    (lazily(Person(uid=UID)), str(UID)),
    (SimpleNamespace(pk=9, is_authenticated=True), "9"),
]


@pytest.mark.parametrize(("user", "id"), USERS)
def test_a_user_object_is_its_pk_as_it_is_to_a_view(user: Any, id: str) -> None:
    view: Any = PresenceMixin()
    view.request = HttpRequest()
    view.request.user = user
    assert user_id_of(user) == checked_user_id(user, "it") == view.get_presence_user_id() == id


@pytest.mark.parametrize(
    ("user", "id"),
    [("7", "7"), (7, "7"), (0, "0"), (UID, str(UID)), (mark_safe("anon_x"), "anon_x"), (lazily("x"), "x")],
)
def test_an_id_is_taken_as_text(user: Any, id: str) -> None:
    assert user_id_of(user) == checked_user_id(user, "it") == id


@pytest.mark.parametrize(
    "user", [None, "", AnonymousUser(), lazily(AnonymousUser()), User(username="not saved"), Person()]
)
def test_a_user_without_an_id_is_nobody(user: Any) -> None:
    assert user_id_of(user) is None
    with pytest.raises(ValueError, match=r"^it needs a user id, not .*get_presence_user_id"):
        checked_user_id(user, "it")


@pytest.mark.parametrize("read", [user_id_of, lambda user: checked_user_id(user, "it")])
def test_a_value_that_cannot_be_an_id_is_refused(read: Callable[[Any], Any]) -> None:
    for other in (Group(pk=7, name="editors"), lazily(Group(pk=7))):
        with pytest.raises(TypeError, match="Group is neither: pass the id"):
            read(other)
    with pytest.raises(ValueError, match="whole characters"):
        read("half \ud83d")


def test_an_opaque_id_is_the_same_in_all_processes_that_share_a_secret_key(settings: Settings) -> None:
    assert opaque_id("board", "7") == opaque_id("board", "7") == "GBV-uwH0_7Omk1Tk"
    settings.SECRET_KEY = "another site"
    assert opaque_id("board", "7") != "GBV-uwH0_7Omk1Tk"


def test_an_opaque_id_differs_by_user_and_by_group() -> None:
    pairs = [(f"board:{n}", str(user)) for n in range(30) for user in range(30)]
    pairs += [("board:1", "11"), ("board:11", "1"), ("board:1", ""), ("board:", "1"), ("Zoë 🎉", "é" * 300)]
    ids = {opaque_id(key, user) for key, user in dict.fromkeys(pairs)}
    assert len(ids) == len(dict.fromkeys(pairs))
    assert all(re.fullmatch(r"[\w-]{16}", one, re.ASCII) for one in ids)
