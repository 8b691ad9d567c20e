"""The addresses of presence on any page, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse
from pytest_django import Settings

from djust_presence.feed.tickets import Ticket, room_of
from tests.feed.objects import Answers, may_join

pytestmark = pytest.mark.usefixtures("feed_site", "ask")

HERE = {"origin": "http://testserver"}


@pytest.fixture
def ask(feed_site: Settings) -> None:
    Answers.by_key, Answers.asked = {}, []
    feed_site.DJUST_PRESENCE = {"AUTHORIZE": may_join}


def of(name: str | None) -> Client:
    client = Client(enforce_csrf_checks=True)
    if name:
        client.cookies["user"] = name
    return client


def granted(response: Any, user_id: str | None = None) -> Ticket:
    assert response.status_code == 200
    answer = response.json()
    ticket = Ticket.read(answer["ticket"], RequestFactory().get("/"), user_id)
    assert answer == {"room": ticket.room, "ticket": answer["ticket"]}
    return ticket


def test_the_addresses_have_names() -> None:
    assert reverse("djust_presence:feed") == "/presence/"
    assert reverse("djust_presence:ticket") == "/presence/ticket/"


@pytest.mark.parametrize("method", ["get", "head", "put", "delete", "options"])
def test_the_feed_opened_in_a_browser_says_what_it_is(method: str) -> None:
    response = getattr(of("ada"), method)("/presence/")
    assert response.status_code == 426
    assert (response["Upgrade"], response["Cache-Control"]) == ("websocket", "no-store")
    assert method == "head" or b"WebSockets" in response.content


@pytest.mark.parametrize("headers", [{}, {"origin": "http://elsewhere.example"}, {"origin": "null"}])
def test_a_poll_of_another_site_is_refused(headers: dict[str, str]) -> None:
    response = of("ada").post("/presence/", {}, content_type="application/json", headers=headers)
    assert (response.status_code, response["Cache-Control"]) == (403, "no-store")


def test_the_feed_and_tickets_need_no_log_in(settings: Settings) -> None:
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    assert of(None).get("/presence/").status_code == 426
    assert granted(of(None).get("/presence/ticket/?key=a", headers=HERE)).key == "a"


def test_no_session_is_begun() -> None:
    client = of(None)
    client.get("/presence/")
    client.get("/presence/ticket/?key=a", headers=HERE)
    assert not client.cookies


def test_a_script_gets_a_ticket_that_is_bound_to_its_user() -> None:
    ticket = granted(of("ada").get("/presence/ticket/?key=document:42", headers=HERE), "7")
    assert (ticket.key, ticket.room, ticket.tracks) == ("document:42", room_of("document:42"), True)
    assert ticket.bound
    assert Answers.asked == [("document:42", "ada")]


def test_a_visitor_gets_a_ticket_that_is_for_everybody() -> None:
    assert granted(of(None).get("/presence/ticket/?key=a", headers=HERE)).bound == ""


@pytest.mark.parametrize(("query", "answer"), [("&watch=1", True), ("", {"watch": True})])
def test_a_ticket_may_only_watch(query: str, answer: Any) -> None:
    Answers.by_key = {"a": answer}
    assert not granted(of(None).get(f"/presence/ticket/?key=a{query}", headers=HERE)).tracks


def test_authorize_may_say_a_meta_and_what_scripts_may_say() -> None:
    Answers.by_key = {"a": {"meta": {"team": "red"}, "meta_keys": ["hand"]}}
    ticket = granted(of(None).get("/presence/ticket/?key=a", headers=HERE))
    assert (ticket.meta, ticket.meta_keys, ticket.fields) == ('{"team":"red"}', ("hand",), ("hand", "team"))


@pytest.mark.parametrize("answer", [False, None, {}, 0])
def test_a_room_that_authorize_does_not_grant_is_refused(answer: Any) -> None:
    Answers.by_key = {"a": answer}
    response = of("ada").get("/presence/ticket/?key=a", headers=HERE)
    assert (response.status_code, response["Cache-Control"]) == (403, "no-store")


def test_without_authorize_scripts_get_no_ticket(settings: Settings) -> None:
    settings.DJUST_PRESENCE = {}
    assert of("ada").get("/presence/ticket/?key=a", headers=HERE).status_code == 404


@pytest.mark.parametrize("query", ["", "?key=", f"?key={'x' * 256}"])
def test_a_key_that_is_none_is_a_bad_request(query: str) -> None:
    assert of("ada").get(f"/presence/ticket/{query}", headers=HERE).status_code == 400
    assert Answers.asked == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"origin": "http://elsewhere.example", "sec-fetch-site": "same-origin"}, 403),
        ({"referer": "http://testserver/page/"}, 200),
        ({"referer": "http://elsewhere.example/testserver"}, 403),
        ({}, 403),
    ],
)
def test_only_pages_of_this_site_get_tickets(headers: dict[str, str], status: int) -> None:
    assert of("ada").get("/presence/ticket/?key=a", headers=headers).status_code == status
    assert bool(Answers.asked) == (status == 200)


def test_tickets_are_read_only() -> None:
    assert of("ada").post("/presence/ticket/?key=a", headers=HERE).status_code in (403, 405)
