"""The view for polling pages: identities, rights and refusals."""

from __future__ import annotations

import logging
from secrets import token_urlsafe
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.cache import SessionStore
from django.http import HttpRequest
from django.test import Client
from pytest_django import Settings

from djust_presence import presence
from djust_presence.backends.registry import get_backend
from djust_presence.feed.newcomers import A_MINUTE, AT_ONCE, STAYS, Newcomers, address_of
from djust_presence.feed.polls import MAX_BYTES
from djust_presence.feed.tickets import LIFE, Ticket, room_of
from djust_presence.keys import opaque_id
from djust_presence.signals import presence_joined, presence_left, presence_updated
from tests.feed.pages import issue
from tests.feed.polled import PolledPage, in_process, old
from tests.pages import PEOPLE
from tests.servers import RedisServer, find_valkey_server

pytestmark = pytest.mark.usefixtures("any_backend", "fresh_limits")

ADA, GRACE = (User(pk=pk, username=name) for name, pk in PEOPLE.items())
allowed: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    allowed.clear()


def page_of(user: str = "", *keys: str, visitor: str | None = None) -> PolledPage:
    page = PolledPage(in_process(user), visitor)
    for key in keys:
        page.want(key)
    return page


def authorize(request: HttpRequest, key: str) -> bool:
    allowed.setdefault("asked", []).append(key)
    found: bool = allowed.get(key, True)
    return found


async def aauthorize(request: HttpRequest, key: str) -> bool:
    return authorize(request, key)


def test_two_pages_see_each_other_come_and_go() -> None:
    ada, grace = page_of("ada", "site", "other"), page_of("grace", "site")
    assert ada.poll().status == 200
    assert (ada.names("site"), ada.count("site")) == (["ada"], 1)
    grace.poll()
    assert grace.names("site") == ["ada", "grace"]
    assert ada.poll().json["rooms"].keys() == {room_of("site")}
    assert ada.names("site") == ["ada", "grace"]
    assert ada.rooms["site"]["me"] == opaque_id("site", "7")
    grace.leave("site")
    grace.poll()
    ada.poll()
    assert ada.names("site") == ["ada"]
    assert presence.count("site") == 1


def test_a_visitor_who_says_goodbye_is_gone_after_the_grace_and_not_at_once(settings: Settings) -> None:
    settings.DJUST_PRESENCE = settings.DJUST_PRESENCE | {"GRACE": 0.3}
    ada, grace = page_of("ada", "site"), page_of("grace", "site")
    ada.poll()
    grace.poll()
    assert grace.bye().status == 200
    assert presence.count("site") == 2
    grace.begin_again()
    grace.poll()
    assert presence.list("site")[1]["connections"] == 2
    ada.poll()
    assert ada.names("site") == ["ada", "grace"]


def test_the_answer_is_not_stored_and_says_when_to_come_again() -> None:
    ada = page_of("ada", "site")
    reply = ada.poll()
    assert "no-store" in reply.headers["Cache-Control"]
    assert 11 < reply.json["every"] < 15
    page_of("grace", "site").poll()
    assert 4 < ada.poll().json["every"] < 6
    assert 4 < ada.poll().json["every"] < 6
    ada.hidden = True
    assert 48 < ada.poll().json["every"] < 60


def test_signals_are_sent_once_for_each_change() -> None:
    heard: list[tuple[str, str]] = []

    def on(name: str) -> Any:
        def receive(presence: dict[str, Any], key: str, **kwargs: Any) -> None:
            heard.append((name, presence["name"]))

        return receive

    receivers = [
        (signal, on(name))
        for name, signal in (
            ("join", presence_joined),
            ("leave", presence_left),
            ("update", presence_updated),
        )
    ]
    for signal, receive in receivers:
        signal.connect(receive)
    try:
        ada = page_of("ada", "site", "other")
        ada.poll()
        ada.poll()
        ada.want("site", meta={"status": "away"})
        ada.poll()
        ada.leave("site")
        ada.poll()
    finally:
        for signal, receive in receivers:
            signal.disconnect(receive)
    assert heard == [("join", "ada"), ("join", "ada"), ("update", "ada"), ("leave", "ada")]


# Who somebody is


def test_a_visitor_is_who_their_browsers_token_says() -> None:
    token = token_urlsafe(16)
    pages = [page_of("", "site", visitor=visitor) for visitor in (token, token, token_urlsafe(16))]
    for page in pages:
        page.poll()
    pages[0].poll()
    assert pages[0].count("site") == 2
    assert "name" not in pages[0].rooms["site"]["members"][0]


def test_without_a_token_each_page_counts_by_itself(settings: Settings) -> None:
    settings.DJUST_PRESENCE = settings.DJUST_PRESENCE | {"ANONYMOUS": "none"}
    token = token_urlsafe(16)
    pages = [page_of("", "site", visitor=token), page_of("", "site", visitor=token), page_of("", "site")]
    for page in pages:
        page.poll()
        page.poll()
    assert pages[2].count("site") == 3


def test_a_visitor_with_a_session_is_who_that_says(settings: Settings) -> None:
    session = SessionStore()
    session["_presence_visitor"] = "abc"
    session.save()
    page = page_of("", "site", visitor=token_urlsafe(16))
    page.transport.client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key  # type: ignore[attr-defined]
    page.poll()
    assert presence.is_present("site", "anon_abc")


def test_no_session_is_begun_or_written(settings: Settings) -> None:
    settings.SESSION_SAVE_EVERY_REQUEST = True
    page = page_of("", "site")
    assert "Set-Cookie" not in page.poll().headers
    session = SessionStore()
    session["something"] = 1
    session.save()
    page.transport.client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key  # type: ignore[attr-defined]
    assert "Set-Cookie" not in page.poll().headers


def test_a_user_who_logs_out_is_gone_at_once_and_comes_back_as_a_visitor() -> None:
    ada = page_of("ada", "site")
    ada.want("mine", issue("mine", ADA))
    ada.poll()
    del ada.transport.client.cookies["user"]  # type: ignore[attr-defined]
    body = ada.body()
    assert ada.transport.post(body).json == {"again": True}
    assert presence.count_many(["site", "mine"]) == {"site": 0, "mine": 0}
    ada.poll()
    assert presence.count("site") == 1
    assert not presence.is_present("site", ADA)
    assert ada.rooms["mine"] == {"refused": "other"}


def test_a_goodbye_is_heard_whoever_sends_it_by_then(settings: Settings) -> None:
    settings.DJUST_PRESENCE = settings.DJUST_PRESENCE | {"GRACE": 0}
    ada = page_of("ada", "site")
    ada.poll()
    del ada.transport.client.cookies["user"]  # type: ignore[attr-defined]
    assert ada.bye().status == 200
    assert ada.seq
    renewal = get_backend().renew(ada.seq.split(" ")[1], 1, [])
    assert (renewal.status, renewal.late) == ("ok", True)  # expired, and nothing extends it


# Rights


def test_each_room_is_refused_by_itself() -> None:
    page = page_of("grace", "site")
    page.want("theirs", issue("theirs", ADA))
    page.want("spoilt", "spoilt")
    page.want("late", old(Ticket("late", True), LIFE + 9).sign(_asked()))
    page.asked["elsewhere"] = page.asked["site"] | {"room": room_of("elsewhere")}
    page.poll()
    assert page.count("site") == 1
    codes = {key: room.get("refused") for key, room in page.rooms.items()}
    assert codes == {
        "site": None,
        "theirs": "other",
        "spoilt": "bad-ticket",
        "late": "expired",
        "elsewhere": "bad-ticket",
    }


def _asked() -> HttpRequest:
    request = HttpRequest()
    request.META["HTTP_HOST"] = "testserver"
    return request


def test_rooms_above_the_most_of_a_page_are_refused() -> None:
    page = page_of("ada", *(f"room{n}" for n in range(66)))
    page.poll()
    refused = [key for key, room in page.rooms.items() if "refused" in room]
    assert refused == ["room64", "room65"]
    assert page.rooms["room64"] == {"refused": "too-many"}


def test_a_watch_ticket_shows_and_does_not_take_part() -> None:
    page = page_of("ada")
    page.want("site", issue("site", tracks=False))
    page.poll()
    assert page.count("site") == 0
    assert "me" not in page.rooms["site"]


@pytest.mark.parametrize("function", ["authorize", "aauthorize"])
def test_a_right_is_asked_again_while_the_page_polls(settings: Settings, function: str) -> None:
    options = {"AUTHORIZE": f"tests.feed.test_polling.{function}", "REAUTH_INTERVAL": 60}
    settings.DJUST_PRESENCE = settings.DJUST_PRESENCE | options
    page = page_of("ada", "site", "other")
    page.poll()
    page.poll()
    assert "asked" not in allowed
    page.want("site", old(Ticket("site", True), 100).sign(_asked()))
    page.poll()
    assert allowed.pop("asked") == ["site"]
    page.poll()  # the answer had a younger ticket
    assert "asked" not in allowed
    assert page.count("site") == 1
    page.want("site", old(Ticket("site", True), 100).sign(_asked()))
    allowed["site"] = False
    page.poll()
    assert page.rooms["site"]["refused"] == "forbidden"
    assert presence.count_many(["site", "other"]) == {"site": 0, "other": 1}


def test_a_right_that_cannot_be_checked_lasts(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    def fails(request: HttpRequest, key: str) -> bool:
        raise RuntimeError("The database is away.")

    settings.DJUST_PRESENCE = settings.DJUST_PRESENCE | {"AUTHORIZE": fails, "REAUTH_INTERVAL": 60}
    page = page_of("ada")
    page.want("site", old(Ticket("site", True), 100).sign(_asked()))
    page.poll()
    assert page.count("site") == 1
    assert "The database is away." in caplog.text
    caplog.clear()


def test_nobody_takes_part_in_a_room_whose_right_is_not_looked_at() -> None:
    page = page_of("ada", "site", "other")
    page.poll()
    del page.asked["site"]
    page.poll()
    assert page.again == 1
    assert page.count("other") == 1


def test_only_what_the_ticket_names_can_be_set_by_a_script() -> None:
    page = page_of("ada")
    ticket = issue(
        "site", meta='{"color":"teal"}', meta_keys=("status", "color", "name", "_x"), fields=("team",)
    )
    given = {"status": "away", "color": "red", "name": "root", "_x": 1, "team": "a", "user_id": 1}
    page.want("site", ticket, meta=given)
    page.poll()
    (person,) = page.rooms["site"]["members"]
    shown = {name: value for name, value in person.items() if name not in ("id", "joined_at")}
    assert shown == {"name": "ada", "color": "teal", "status": "away"}
    page.want("site", ticket, meta={"status": None})
    page.poll()
    assert "status" not in page.rooms["site"]["members"][0]


def test_no_key_of_a_user_or_a_session_is_in_an_answer(settings: Settings) -> None:
    session = SessionStore()
    session["_presence_visitor"] = "0123456789abcdef"
    session.save()
    visitor, ada = page_of("", "site"), page_of("ada", "site")
    visitor.transport.client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key  # type: ignore[attr-defined]
    ada.want("secret", issue("secret", meta='{"_note":"hidden","note":"unlisted"}'))
    for page in (visitor, ada, visitor, ada):
        page.poll()
    texts = "".join(visitor.texts + ada.texts)
    assert "members" in texts
    for secret in ("0123456789abcdef", session.session_key, "user_id", "hidden", "unlisted", "anon_"):
        assert str(secret) not in texts


# Refusals of whole polls


@pytest.mark.parametrize("origin", ["", "null", "https://evil.example", "http://testserver:81"])
def test_a_page_of_another_site_is_refused(origin: str) -> None:
    page = page_of("ada", "site")
    assert page.poll(origin=origin).status == 403
    assert presence.count("site") == 0


def test_csrf_is_not_asked_for() -> None:
    client = Client(enforce_csrf_checks=True)
    page = page_of("ada", "site")
    page.transport.client = client  # type: ignore[attr-defined]
    assert page.poll().status == 200


@pytest.mark.parametrize(
    "body",
    [
        "",
        "x",
        "[]",
        "{}",
        '{"page":1}',
        '{"page":"short"}',
        "{PAGE,'rooms':{'a':1}}",
        "{PAGE,'rooms':[1]}",
        "{PAGE,'rooms':[{}]}",
        "{PAGE,'rooms':[{'room':'r','want':[1]}]}",
        "{PAGE,'rooms':[{'room':'r','want':{'some':[1]}}]}",
        "{PAGE,'rooms':[{'room':'r','meta':{'a':{}}}]}",
        "{PAGE,'left':3}",
        "{PAGE,'x':" + "[" * 33 + "]" * 33 + "}",
        "{PAGE,'x':NaN}",
        "{PAGE,'x':'\\ud800'}",
    ],
)
def test_a_request_that_is_not_a_poll_is_a_bad_request(body: str) -> None:
    page = "'page':'" + "p" * 22 + "'"
    assert in_process("ada").post(body.replace("PAGE", page).replace("'", '"')).status == 400
    assert in_process("ada").post(("{" + page + "}").replace("'", '"')).status == 200


def test_a_page_without_rooms_may_poll() -> None:
    page = page_of("ada")
    assert page.poll().json["rooms"] == {}
    assert page.poll().status == 200


@pytest.mark.parametrize("seq", ["x", "7", 7, "1 page-x :abc", ["a"]])
def test_a_state_that_was_not_signed_here_begins_again(seq: Any) -> None:
    page = page_of("ada", "site")
    page.poll()
    page.seq = seq
    page.poll()
    assert page.again == 1
    assert page.names("site") == ["ada"]


def test_a_long_request_is_refused_before_it_is_read() -> None:
    page = page_of("ada", "site")
    reply = page.transport.post(page.body(more="x" * MAX_BYTES))
    assert reply.status == 429
    assert int(reply.headers["Retry-After"]) > 0


def test_new_pages_are_limited_before_anything_is_loaded(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    first = page_of("ada", "site")
    assert first.poll().status == 200
    for _ in range(A_MINUTE - 1):
        assert page_of("ada").poll().status == 200
    settings.MIDDLEWARE = []  # there is no user
    late = page_of("grace", "site")
    assert late.poll().status == 429
    assert late.last.headers["Retry-After"] == "60"
    assert first.transport.post(first.body()).status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_only_posts_count() -> None:
    client = Client()
    for _ in range(3):
        assert client.get("/presence/").status_code == 426
    assert client.put("/presence/").status_code == 426
    assert presence.count("site") == 0


# The bounds on new pages


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_address_may_open_so_many_pages_a_minute_and_so_many_at_once() -> None:
    clock = Clock()
    newcomers = Newcomers(clock)
    pages = (f"page{n}" for n in range(10_000))
    assert sum(newcomers.admit("a", next(pages)) for _ in range(100)) == A_MINUTE
    assert newcomers.admit("b", next(pages))
    clock.now = 30.0
    assert sum(newcomers.admit("a", next(pages)) for _ in range(100)) == A_MINUTE // 2
    stay: list[str] = []
    while clock.now < 1000:
        clock.now += 10
        page = next(pages)
        stay += [page] if newcomers.admit("a", page) else []
        assert all(newcomers.admit("a", one) for one in stay)
    many = len(stay)
    while len(stay) < AT_ONCE and clock.now < 10_000:
        clock.now += 3
        page = next(pages)
        stay += [page] if newcomers.admit("a", page) else []
        for one in stay:
            newcomers.admit("a", one)
    assert many < len(stay) == AT_ONCE
    clock.now += 60
    assert not newcomers.admit("a", next(pages))
    newcomers.gone("a", stay.pop())
    assert newcomers.admit("a", next(pages))
    clock.now += STAYS
    assert newcomers.admit("a", next(pages))


def test_addresses_that_are_seen_no_longer_are_forgotten() -> None:
    clock = Clock()
    newcomers = Newcomers(clock)
    for n in range(1000):
        clock.now = float(n)
        newcomers.admit(f"address{n}", "page")
    assert len(newcomers._addresses) <= STAYS + 1


@pytest.mark.parametrize(
    ("meta", "address"),
    [
        ({"REMOTE_ADDR": "8.8.8.8", "HTTP_X_FORWARDED_FOR": "1.1.1.1"}, "8.8.8.8"),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "forged, 1.1.1.1"}, "1.1.1.1"),
        ({"REMOTE_ADDR": "", "HTTP_X_FORWARDED_FOR": "1.1.1.1"}, "1.1.1.1"),  # a unix socket
        ({"REMOTE_ADDR": "10.0.0.3"}, "10.0.0.3"),
        ({"REMOTE_ADDR": "2606:4700:1:2:3:4:5:6"}, "2606:4700:0001:0002"),
        ({"REMOTE_ADDR": "2606:4700:1:2::9"}, "2606:4700:0001:0002"),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "x" * 999}, "x" * 100),
        ({}, ""),
    ],
)
def test_a_client_is_known_by_its_address(meta: dict[str, str], address: str) -> None:
    assert address_of(meta) == address


# The store is away


def test_a_store_that_is_away_is_said_and_comes_back(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(find_valkey_server()) as server:
        layer = {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [server.url()]},
        }
        settings.CHANNEL_LAYERS = {"default": layer}
        settings.DJUST_PRESENCE = {"BACKEND": "redis", "LOCATION": server.url()}
        ada, grace = page_of("ada", "site"), page_of("grace", "site")
        ada.poll()
        server.kill()
        for page in (ada, grace):
            assert page.poll().status == 503
            assert 8 <= int(page.last.headers["Retry-After"]) <= 12
        assert not [record for record in caplog.records if record.name == "django.request"]
        server.start()
        ada.poll()
        assert ada.again == 1  # it has lost its memory
        grace.poll()
        ada.poll()
        assert ada.names("site") == ["ada", "grace"]
        get_backend().close()
