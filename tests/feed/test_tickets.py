from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from djust_presence.feed.tickets import LIFE, BadTicket, Ticket, bound_to, room_of

request = RequestFactory().get("/")
elsewhere = RequestFactory().get("/", headers={"host": "other.example"})


@pytest.fixture(autouse=True)
def hosts(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]


def refusal(text: Any, user_id: str | None = None, asked: Any = request) -> str:
    with pytest.raises(BadTicket) as refused:
        Ticket.read(text, asked, user_id)
    return refused.value.code


def test_a_ticket_is_read_as_it_was_issued() -> None:
    issued = Ticket(
        "tickets.ticket:7", True, bound_to("3"), '{"a":1}', ("status",), ("team",), "tickets.ticket"
    )
    read = Ticket.read(issued.sign(request), request, "3")
    assert read._replace(begun=0, issued=0) == issued
    assert (read.pk, read.room) == ("7", room_of("tickets.ticket:7"))
    assert abs(read.issued - time.time()) < 60
    assert read.begun == read.issued


def test_a_bound_ticket_is_of_no_use_to_others() -> None:
    text = Ticket("site", True, bound_to("3")).sign(request)
    assert refusal(text, "4") == refusal(text) == refusal(text, "") == "other"


def test_an_unbound_ticket_is_for_everybody() -> None:
    text = Ticket("site", False).sign(request)
    assert {Ticket.read(text, request, user).key for user in (None, "3", "4")} == {"site"}


def test_a_ticket_is_for_the_host_that_issued_it() -> None:
    assert refusal(Ticket("site", True).sign(request), asked=elsewhere) == "bad-ticket"


@pytest.mark.parametrize("spoil", [lambda text: text[:-1], lambda text: "A" + text, lambda text: text * 99])
def test_a_ticket_that_was_tampered_with_is_bad(spoil: Any) -> None:
    assert refusal(spoil(Ticket("site", True).sign(request))) == "bad-ticket"


@pytest.mark.parametrize("text", [None, 7, "", "x", ["site"], "ü" * 10, "\ud800"])
def test_a_value_that_is_not_a_ticket_is_bad(text: Any) -> None:
    assert refusal(text) == "bad-ticket"


def test_a_ticket_expires() -> None:
    old = int(time.time() - LIFE - 2)
    assert refusal(Ticket("site", True, issued=old, begun=old).sign(request)) == "expired"


def test_a_ticket_is_renewed_in_the_second_half_of_its_life_but_not_for_ever(settings: Settings) -> None:
    now = int(time.time())
    young, old = now - LIFE // 3, now - LIFE * 2 // 3
    assert Ticket("site", True, begun=young, issued=young).renewed() is None
    renewed = Ticket("site", True, begun=old, issued=old).renewed()
    assert renewed
    assert (renewed.issued >= now, renewed.begun) == (True, old)
    settings.SESSION_COOKIE_AGE = LIFE // 2
    assert Ticket("site", True, begun=old, issued=old).renewed() is None


def test_a_ticket_names_neither_its_user_nor_any_other() -> None:
    text = Ticket("site", True, bound_to("987654321")).sign(request)
    content = base64.urlsafe_b64decode(text.partition(":")[0] + "==").decode()
    assert "987654321" not in text + content
