"""Pages with tags in Django's caches: a reader of a cached page keeps their own identity, and its tickets work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import Client
from django.urls import path
from pytest_django import Settings

from djust_presence.feed.tickets import BadTicket, Ticket, bound_to
from tests.feed.site import ADA, GRACE, asked, attributes
from tests.feed.site import urlpatterns as feed
from tests.pages import site

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

SOURCES = {
    "public": "{% presence_count 'site' public=True %}{% presence_dot 7 'site' public=True %}{% presence_script %}",
    "private": "{% presence_avatars 'site' %}",
    "fragment": "{% cache 60 part %}{% presence_avatars 'site' public=True %}{% endcache %}",
    "own-fragment": "{% cache 60 own user.pk %}{% presence_avatars 'site' %}{% endcache %}",
    "dot-fragments": "{% presence_count 'site' public=True %}"
    "{% cache 60 dot %}{% presence_dot 7 'site' public=True %}{% endcache %}",
    "dot": "{% cache 60 dot %}{% presence_dot 7 'site' public=True %}{% endcache %}",
}


def page(request: HttpRequest, name: str) -> HttpResponse:
    template = engines["django"].from_string("{% load cache djust_presence %}" + SOURCES[name])
    return HttpResponse(template.render({}, request) + f"<!-- {uuid4()} -->")


urlpatterns = [*feed, path("<slug:name>/", page)]


@pytest.fixture(autouse=True)
def cached_site(settings: Settings) -> Iterator[None]:
    for name, value in site({}).items():
        setattr(settings, name, value)
    settings.MIDDLEWARE = [
        "django.middleware.cache.UpdateCacheMiddleware",
        *settings.MIDDLEWARE,
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
    cache.clear()
    clients.clear()
    for user in (ADA, GRACE):
        user.save()
    yield
    cache.clear()


clients: dict[str, Client] = {}


def get(name: str, user: str = "") -> Any:
    if user not in clients:
        clients[user] = Client()
        if user:
            clients[user].force_login(User.objects.get(username=user))
    return clients[user].get(f"/{name}/")


def tickets(response: Any) -> list[str]:
    return re.findall(' ticket="(.*?)"', response.content.decode())


def usable(text: str, user: str | None) -> bool:
    try:
        Ticket.read(text, asked(), user)
    except BadTicket:
        return False
    return True


def test_a_public_page_is_one_for_all_readers_and_its_ticket_for_each_as_themselves() -> None:
    first, second, third = get("public", "ada"), get("public", "grace"), get("public")
    assert first.content == second.content == third.content
    assert "Cookie" not in first.headers.get("Vary", "")
    assert {usable(text, user) for text in tickets(first) for user in ("7", "8", None)} == {True}


def test_a_page_for_its_reader_is_cached_for_them_alone() -> None:
    ada, grace, nobody = get("private", "ada"), get("private", "grace"), get("private")
    assert get("private", "ada").content == ada.content
    assert "Cookie" in ada.headers["Vary"]
    assert len({ada.content, grace.content, nobody.content}) == 3
    (mine,) = tickets(ada)
    assert [usable(mine, user) for user in ("7", "8", None)] == [True, False, False]
    assert [usable(text, "8") for text in (*tickets(grace), *tickets(nobody))] == [True, True]
    assert (b"ada" in ada.content, b"ada" in grace.content, b"ada" in nobody.content) == (True, False, False)
    assert not nobody.cookies


def test_a_public_fragment_names_no_reader() -> None:
    ada, grace = get("fragment", "ada"), get("fragment", "grace")
    assert tickets(ada) == tickets(grace)
    assert b"ada" not in grace.content
    assert usable(tickets(grace)[0], "8")


def test_a_fragment_for_each_user_is_theirs() -> None:
    ada, grace = get("own-fragment", "ada"), get("own-fragment", "grace")
    assert b"ada" not in grace.content
    (mine,) = tickets(grace)
    assert Ticket.read(mine, asked(), "8").bound == bound_to("8")
    assert not usable(tickets(ada)[0], "8")


def test_a_public_fragment_that_was_cached_on_another_page_has_its_own_ticket() -> None:
    get("dot-fragments")
    (dot,) = attributes(get("dot").content.decode(), "presence-dot")
    assert usable(dot["ticket"] or "", None)
