from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import json
import logging
import math
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.test import RequestFactory
from django.urls import path
from pytest_django import Settings

from djust_presence import (
    LiveView,
    PresenceError,
    PresenceKeyError,
    PresenceMixin,
    PresenceUnavailable,
    event_handler,
)
from djust_presence import presence as facade
from djust_presence.testing import presence
from djust_presence.tracker import lookup
from tests.pages import Visitor, site
from tests.until import until

pytestmark = pytest.mark.urls(__name__)

ROOM = (
    "{{ online_count }} here:{% for p in presences %}"
    " [{{ p.id }} {{ p.name }} {{ p.color }} x{{ p.connections }}]{% endfor %} seen {{ seen }}"
)
Record = dict[str, Any]


class Room(PresenceMixin, LiveView):
    """Calls the methods that the page names, and tells it of every callback."""

    template_name = "room.html"
    presence_key: str | None = "room:{room}"

    def mount(self, request: HttpRequest, **kwargs: Any) -> Any:
        self.seen = 0
        self.begin(request)

    def begin(self, request: HttpRequest) -> None:
        self.track_presence({"color": request.GET["color"]} if "color" in request.GET else None)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(presences=self.list_presences(), **kwargs)

    def handle_presence_join(self, presence: Record) -> Any:
        self.push_event("join", presence)

    def handle_presence_leave(self, presence: Record) -> Any:
        self.push_event("leave", presence)

    def handle_presence_update(self, presence: Record) -> Any:
        self.push_event("update", presence)

    @event_handler()
    def track(self, meta: Any = None) -> None:
        self.track_presence(meta)
        self.push_event("count", [self.online_count, self.presence_count(), len(self.list_presences())])

    @event_handler()
    def untrack(self) -> None:
        self.untrack_presence()
        self.push_event("count", [self.online_count, self.presence_count(), len(self.list_presences())])

    @event_handler()
    def update(self, changes: Any) -> None:
        self.update_presence(**changes)

    @event_handler()
    def move(self, room: str) -> None:
        self.kwargs["room"] = room

    @event_handler()
    def restore(self) -> None:
        self._restore_presence()
        self.push_event("count", [self.online_count, self.presence_count(), len(self.list_presences())])

    @event_handler()
    def shout(self, payload: Any = None) -> None:
        self.broadcast_to_presence("shout", payload)

    @event_handler()
    def records(self) -> None:
        self.push_event("records", self.list_presences())


class EachTab(Room):
    presence_unique_per_connection = True


class Watcher(Room):
    def begin(self, request: HttpRequest) -> None:
        self.watch_presence()


class Idle(Room):
    def begin(self, request: HttpRequest) -> None:
        pass


class Gallery(Room):
    """Keeps its callbacks in async code."""

    async def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.seen = 0
        if "sync" in request.GET:
            self.track_presence({"color": "red"})
        else:
            await self.atrack_presence({"color": "red"})

    async def handle_presence_join(self, presence: Record) -> None:
        await asyncio.sleep(0)
        self.push_event("join", presence)

    async def handle_presence_event(self, event: str, payload: Any) -> None:
        self.seen += 1
        self.push_event("heard", [event, payload])

    @event_handler()
    async def atwins(self) -> None:
        self.push_event("counted", await self.apresence_count())
        self.push_event("listed", [one["id"] for one in await self.alist_presences()])
        await self.aupdate_presence(color="blue", size=None)
        await self.abroadcast_to_presence("called", [1])
        await self.auntrack_presence()
        self.push_event("left", self.online_count)
        await self.awatch_presence()
        await self.atrack_presence({"color": "green"})
        self.push_event("back", self.online_count)


class Broken(Room):
    """Fails in every callback."""

    def handle_presence_join(self, presence: Record) -> None:
        if presence["id"] == "7":
            raise RuntimeError("a failing join")
        self.push_event("join", presence)

    async def handle_presence_leave(self, presence: Record) -> None:
        raise RuntimeError("a failing leave")

    def handle_presence_event(self, event: str, payload: Any) -> None:
        raise RuntimeError("a failing event")


class Changing(Room):
    """Sees what `_on_presence_change` gets."""

    def _on_presence_change(self, **kwargs: Any) -> None:
        super()._on_presence_change(**kwargs)
        self.push_event("change", kwargs)

    def handle_presence_event(self, event: str, payload: Any) -> None:
        payload["seen by"].append(self.get_presence_user_id())
        self.push_event("heard", payload)


class Rare(Room):
    presence_refresh_interval = 2.0


urlpatterns = [
    path("room/<room>/", Room.as_view()),
    path("each-tab/<room>/", EachTab.as_view()),
    path("watch/<room>/", Watcher.as_view()),
    path("idle/<room>/", Idle.as_view()),
    path("gallery/<room>/", Gallery.as_view()),
    path("broken/<room>/", Broken.as_view()),
    path("changing/<room>/", Changing.as_view()),
    path("rare/<room>/", Rare.as_view()),
]


@pytest.fixture(autouse=True)
def room_site(settings: Settings) -> None:
    for name, value in site({"room.html": ROOM}).items():
        setattr(settings, name, value)
    settings.DJUST_PRESENCE = {"GRACE": 0.05, "REFRESH_INTERVAL": 0.01}


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    async with presence():
        yield


def view_of(view_class: type[LiveView], user: Any = None, **kwargs: Any) -> Any:
    """A view as an HTTP request finds it, before it is mounted."""
    request = RequestFactory().get("/")
    request.user = user or AnonymousUser()
    view = view_class()
    view.setup(request, **kwargs)
    return view


async def stored(key: str) -> list[Record]:
    return await facade.alist(key)


async def stored_once(key: str, count: int) -> list[Record]:
    """The records in the store as soon as there are *count*, and it answers."""
    while True:
        with contextlib.suppress(PresenceUnavailable):
            if len(records := await stored(key)) == count:
                return records
        await asyncio.sleep(0.005)


async def stored_as(key: str, **fields: Any) -> Record:
    """The only record in the store, as soon as it has these *fields*."""
    while True:
        (record,) = await stored_once(key, 1)
        if fields.items() <= record.items():
            return record
        await asyncio.sleep(0.005)


# Keys


class Keyed(PresenceMixin, LiveView):
    presence_key: str | None = "{kind}:{doc_id}"
    kind = "document"


def test_a_key_is_filled_in_from_instance_class_and_url() -> None:
    assert view_of(Keyed, doc_id=42).get_presence_key() == "document:42"
    view = view_of(Keyed, doc_id=42, kind="draft")
    view.doc_id = 43
    assert view.get_presence_key() == "document:43"


def test_an_attribute_that_is_none_leaves_it_to_the_url() -> None:
    view = view_of(Keyed, doc_id=42)
    view.doc_id = None
    assert view.get_presence_key() == "document:42"


@pytest.mark.parametrize("doc_id", [{}, {"doc_id": None}])
def test_a_variable_that_is_missing_or_none_is_named(doc_id: dict[str, Any]) -> None:
    with pytest.raises(PresenceKeyError, match="'doc_id'"):
        view_of(Keyed, **doc_id).get_presence_key()


def test_an_attribute_of_a_variable_is_named_when_it_is_missing_or_none() -> None:
    class Nested(PresenceMixin, LiveView):
        presence_key = "document:{user.pk}"

    view = view_of(Nested)
    view.user = User(pk=3)
    assert view.get_presence_key() == "document:3"
    view.user = User()
    with pytest.raises(PresenceKeyError, match=r"user\.pk"):
        view.get_presence_key()
    view.user = object()
    with pytest.raises(PresenceKeyError, match=r"user\.pk"):
        view.get_presence_key()


def test_without_a_key_the_group_is_the_class() -> None:
    class Unnamed(PresenceMixin, LiveView):
        pass

    assert view_of(Unnamed).get_presence_key() == f"{__name__}.{Unnamed.__qualname__}"


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("", "is empty"),
        ("x" * 256, "has 256: 'xxx"),
        ("half \ud83d", r"has half of a surrogate pair in it: 'half \\ud83d'"),
        (None, "is not a text, but None"),
        (42, "is not a text, but 42"),
    ],
)
def test_a_key_that_cannot_be_used_is_an_error_wherever_it_is_needed(key: Any, fault: str) -> None:
    class Overridden(PresenceMixin, LiveView):
        def get_presence_key(self) -> str:
            return key  # type: ignore[no-any-return]

    view = view_of(Overridden)
    for use in (view.track_presence, view.watch_presence, view.list_presences, view.presence_count):
        with pytest.raises(PresenceKeyError, match=f"1 to 255 characters; that of .*Overridden {fault}"):
            use()
    assert Overridden.presence_key is None


def test_the_key_may_be_made_by_the_view() -> None:
    class Dynamic(PresenceMixin, LiveView):
        presence_key = "{unknown}"

        def get_presence_key(self) -> str:
            return f"team:{self.kwargs['team']}"

    facade.join("team:5", "x")
    view = view_of(Dynamic, team=5)
    view.watch_presence()
    assert (view.online_count, [one["id"] for one in view.list_presences()]) == (1, ["x"])


def test_a_key_may_be_as_long_as_255_characters() -> None:
    class Overridden(PresenceMixin, LiveView):
        def get_presence_key(self) -> str:
            return "ü" * 255

    view_of(Overridden).track_presence()


def test_braces_that_are_out_of_order_are_a_key_error() -> None:
    class Malformed(PresenceMixin, LiveView):
        presence_key = "document:{doc_id"

    with pytest.raises(PresenceKeyError, match="document:{doc_id"):
        view_of(Malformed, doc_id=1).get_presence_key()


async def test_the_key_is_the_one_at_the_time_of_tracking() -> None:
    async with Visitor("ada").opens("/room/a/") as page:
        await stored_once("room:a", 1)
        await page.call("move", room="b")
        await page.call("update", changes={"color": "red"})
        await page.until("[7 ada red x1]")
        await page.call("shout", payload="here")
        assert await page.until_event("shout") == "here"
        await stored_as("room:a", color="red")
        assert await stored("room:b") == []
        await page.call("track")
        await stored_once("room:b", 1)
        await stored_once("room:a", 0)


async def test_a_watcher_stays_with_the_key_that_it_watched() -> None:
    async with Visitor().opens("/watch/a/") as page:
        await page.call("move", room="b")
        await facade.ajoin("room:b", "x")
        await facade.ajoin("room:a", "y", {"name": "Ypsilon"})
        assert "x1" in await page.until("1 here: [y Ypsilon")


# Records


class Profile(PresenceMixin, LiveView):
    presence_key = "profiles"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()


async def test_a_record_has_the_metas_keys_flat_and_the_whole_meta() -> None:
    async with Visitor("ada").opens("/room/a/?color=red") as page:
        (joined,) = await page.until_pushed("join")
        joined_at = joined.pop("joined_at")
        assert isinstance(joined_at, float)
        meta = {"name": "ada", "user_id": 7, "color": "red"}
        assert joined == {**meta, "id": "7", "connections": 1, "meta": meta}
        assert (await stored_once("room:a", 1))[0] == {**joined, "joined_at": joined_at}


async def test_on_a_clash_the_records_own_keys_win() -> None:
    async with Visitor("ada").opens("/idle/a/") as page:
        clash = {"id": "me", "joined_at": 1, "connections": 9, "meta": "mine", "user_id": "u7", "name": "A"}
        await page.call("track", meta=clash)
        await page.call("records")
        (record,) = page.pushed("records")[0]
        assert (record["id"], record["connections"], record["meta"]) == ("7", 1, {**clash, "user_id": 7})
        assert record["joined_at"] > 1
        assert (record["user_id"], record["name"]) == (7, "A")


@pytest.mark.parametrize("meta", [{}, {"name": ""}, {"name": None}, None])
async def test_a_name_is_always_there(meta: Record | None) -> None:
    async with Visitor("ada").opens("/idle/a/") as page, Visitor().opens("/idle/a/") as other:
        await page.call("track", meta=meta)
        await other.call("track", meta=meta)
        await other.until("ada", "Guest")
        assert {one["name"] for one in await stored_once("room:a", 2)} == {"ada", "Guest"}


async def test_a_guest_has_no_user_id() -> None:
    async with Visitor().opens("/room/a/"):
        (record,) = await stored_once("room:a", 1)
        assert "user_id" not in record
        assert record["meta"] == {}


async def test_a_user_id_that_is_no_number_is_text() -> None:
    from uuid import UUID

    class Anybody:
        is_authenticated = True
        pk = UUID(int=5)

        def get_username(self) -> str:
            return "uuid"

    view = view_of(Profile, Anybody())
    assert view.get_presence_user_id() == str(UUID(int=5))
    assert json.loads(view._presence.encode({}, "5")) == {"name": "uuid", "user_id": str(UUID(int=5))}


@pytest.fixture
def german(tmp_path: Path, settings: Settings) -> None:
    """A project that has translated the word into German."""
    pairs = [("", "Content-Type: text/plain; charset=UTF-8\n"), ("Guest", "Gast")]
    texts = [text.encode() + b"\0" for pair in pairs for text in pair]
    starts = itertools.accumulate((len(text) for text in texts), initial=28 + 16 * len(pairs))
    places = [(len(text) - 1, start) for text, start in zip(texts, starts, strict=False)]
    header = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    tables = b"".join(struct.pack("<2I", *place) for place in places[0::2] + places[1::2])
    catalog = tmp_path / "de" / "LC_MESSAGES" / "django.mo"
    catalog.parent.mkdir(parents=True)
    catalog.write_bytes(header + tables + b"".join(texts))
    settings.LOCALE_PATHS = [tmp_path]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]


async def test_a_guests_name_is_in_the_language_of_whoever_reads(german: None) -> None:
    english, deutsch = Visitor(language="en"), Visitor(language="de")
    async with english.opens("/room/a/") as one, deutsch.opens("/room/a/") as other:
        await one.until("2 here")
        await other.until("2 here")
        assert (one.html.count("Guest"), one.html.count("Gast")) == (2, 0)
        assert (other.html.count("Guest"), other.html.count("Gast")) == (0, 2)
        assert {record["name"] for record in await one.until_pushed("join")} == {"Guest"}
        assert {record["name"] for record in await other.until_pushed("join")} == {"Gast"}
        assert [record["meta"] for record in await stored("room:a")] == [{}, {}]


async def test_the_list_is_in_the_order_of_coming_then_of_ids() -> None:
    for user in ("b", "c", "a"):
        await facade.ajoin("room:a", user)
        await asyncio.sleep(0.002)
    assert [one["id"] for one in await stored("room:a")] == ["b", "c", "a"]
    from djust_presence.state.records import Member, records

    tied = {"2": Member(1, 5.0, "{}"), "10": Member(1, 5.0, "{}"), "9": Member(1, 4.0, "{}")}
    assert [one["id"] for one in records(tied, "Guest")] == ["9", "10", "2"]


async def test_changing_what_was_handed_out_changes_nothing() -> None:
    async with Visitor().opens("/watch/a/") as page:
        await facade.ajoin("room:a", "x", {"tags": ["a"], "deep": {"er": [1]}})
        await page.until("1 here")
        view = view_of(Watcher, room="a")
        for record in (*await view.alist_presences(), *await stored("room:a")):
            record["tags"].append("b")
            record["meta"]["deep"]["er"].append(2)
            record["meta"]["new"] = record["new"] = 1
        for (record,) in (await view.alist_presences(), await stored("room:a")):
            assert (record["tags"], record["deep"]) == (["a"], {"er": [1]})
            assert record["meta"] == {"tags": ["a"], "deep": {"er": [1]}}
            assert "new" not in record


def test_the_callers_dict_stays_as_it_was() -> None:
    meta: Record = {"color": "red", "tags": ["a"]}
    view = view_of(Profile, User(pk=7, username="ada"))
    view.track_presence(meta)
    assert meta == {"color": "red", "tags": ["a"]}


async def test_later_changes_to_the_dict_by_the_caller_are_not_restored() -> None:
    class Later(Room):
        def begin(self, request: HttpRequest) -> None:
            meta: Record = {"tags": ["a"]}
            self.track_presence(meta)
            meta["tags"].append("b")
            meta["color"] = {1, 2}
            self._restore_presence()

    view = view_of(Later, room="a")
    await asyncio.to_thread(view.mount, view.request)


CIRCULAR: list[Any] = []
CIRCULAR.append(CIRCULAR)


@pytest.mark.parametrize(
    ("meta", "named"),
    [
        ({"fine": 1, "when": object()}, "'when'"),
        ({"rate": math.nan}, "'rate'"),
        ({"rate": [math.inf]}, "'rate'"),
        ({"name": "\ud800"}, "'name'"),
        ({"loop": CIRCULAR}, "'loop'"),
        ({5: "five"}, "5"),
        ({"text": "ü" * 2048}, "41[0-9][0-9] bytes.*4096"),
        (["name"], "dictionary.*list"),
        ("ada", "dictionary.*str"),
    ],
)
def test_a_meta_that_cannot_be_stored_is_refused_by_name(meta: Any, named: str) -> None:
    view = view_of(Profile)
    with pytest.raises(ValueError, match=named):
        view.track_presence(meta)
    with pytest.raises(ValueError, match=named):
        facade.join("profiles", "x", meta)
    assert facade.list("profiles") == []


async def test_a_meta_that_is_refused_leaves_what_was_tracked() -> None:
    async with Visitor("ada").opens("/idle/a/") as page:
        assert (await page.call("track", meta={"text": "x" * 4096}))["code"] == "failed"
        assert page.pushed("count") == []
        await page.call("track", meta={"color": "red"})
        assert (await page.call("update", changes={"text": "x" * 4096}))["code"] == "failed"
        await page.until("1 here: [7 ada red x1]")
        (record,) = await stored_once("room:a", 1)
        assert "text" not in record


def test_a_meta_may_have_4096_bytes() -> None:
    facade.join("profiles", "x", {"t": "x" * (4096 - len('{"t":""}'))})
    assert facade.count("profiles") == 1


# Who


async def test_a_logged_in_user_is_their_id_in_every_tab_and_view() -> None:
    ada, again = Visitor("ada"), Visitor("ada")
    async with ada.opens("/room/a/") as one, again.opens("/each-tab/a/"):
        await one.until("1 here: [7 ada  x2]")
    assert "sessionid" not in ada.client.cookies


async def test_an_overridden_user_id_is_taken_as_text() -> None:
    class Numbered(Profile):
        def get_presence_user_id(self) -> Any:
            return 12

    urlpatterns.append(path("numbered/", Numbered.as_view(template_name="room.html")))
    try:
        async with Visitor("ada").opens("/numbered/"):
            assert [one["id"] for one in await stored_once("profiles", 1)] == ["12"]
    finally:
        urlpatterns.pop()


@pytest.mark.parametrize("nobody", [None, ""])
def test_an_overridden_user_id_must_say_who(nobody: str | None) -> None:
    class Nobody(Profile):
        def get_presence_user_id(self) -> Any:
            return nobody

    with pytest.raises(PresenceError, match="get_presence_user_id.*Nobody"):
        view_of(Nobody).track_presence()
    with pytest.raises(ValueError, match="user id"):
        facade.join("profiles", nobody)


ENGINES = ["db", "cache", "cached_db", "file", "signed_cookies"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("engine", ENGINES)
async def test_a_visitors_tabs_share_a_token_that_is_not_the_session_key(
    engine: str, settings: Settings, tmp_path: Path
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    visitor, other = Visitor(), Visitor()
    async with visitor.opens("/room/a/") as one, visitor.opens("/room/a/") as two:
        await one.until("1 here", "x2]")
        await two.until("1 here", "x2]")
        (record,) = await stored_once("room:a", 1)
        key = visitor.client.cookies["sessionid"].value
        assert record["id"].startswith("anon_")
        assert len(record["id"]) > 30
        assert key not in str(one.frames + two.frames + [record])
        async with other.opens("/room/a/"):
            assert len({record["id"] for record in await stored_once("room:a", 2)}) == 2
    async with visitor.opens("/room/a/"):
        assert (await stored_once("room:a", 1))[0]["id"] == record["id"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("engine", ENGINES)
async def test_a_visitor_who_refuses_cookies_counts_per_connection_and_gets_no_session_on_the_socket(
    engine: str, settings: Settings, tmp_path: Path
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    settings.SESSION_SAVE_EVERY_REQUEST = True
    store = importlib.import_module(settings.SESSION_ENGINE).SessionStore
    made: list[Any] = []

    class Counted(store):  # type: ignore[misc, valid-type]
        def save(self, must_create: bool = False) -> None:
            made.append(self.session_key)
            super().save(must_create)

    settings.SESSION_ENGINE = __name__
    globals()["SessionStore"] = Counted
    visitor = Visitor(cookies=False)
    await visitor.get("/room/a/")
    assert len(made) >= 1
    made.clear()
    async with visitor.socket("/room/a/") as one, visitor.socket("/room/a/") as two:
        await one.until("2 here")
        await two.until("2 here")
        ids = {record["id"] for record in await stored("room:a")}
        assert {one[:10] for one in ids} == {"anon_conn_"}
        await one.call("track", meta={"color": "red"})
        await one.until("red")
        assert {record["id"] for record in await stored_once("room:a", 2)} == ids
    assert made == []


@pytest.mark.parametrize("path", ["/watch/a/", "/idle/a/", "/each-tab/a/"])
async def test_a_session_is_only_made_when_a_token_is_needed(path: str) -> None:
    visitor = Visitor()
    async with visitor.opens(path):
        assert "sessionid" not in visitor.client.cookies


async def test_a_site_without_sessions_and_users_counts_per_connection(settings: Settings) -> None:
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    settings.TEMPLATES[0]["OPTIONS"]["context_processors"] = []
    visitor = Visitor()
    async with visitor.opens("/room/a/") as one, visitor.opens("/room/a/"):
        await one.until("2 here", "[anon_conn_", "Guest")


@pytest.mark.django_db(transaction=True)
async def test_logging_in_for_real_makes_a_visitor_somebody(settings: Settings) -> None:
    user = await User.objects.acreate_user("eva", password="p")
    visitor = Visitor()
    async with visitor.opens("/room/a/") as page:
        await page.until("[anon_")
    await visitor.client.aforce_login(user)
    async with visitor.opens("/room/a/") as page:
        await page.until(f"[{user.pk} eva")


# Tracking


async def test_prerendering_registers_nobody_but_counts(caplog: pytest.LogCaptureFixture) -> None:
    visitor = Visitor("ada")
    assert "1 here: [7 ada" in await visitor.get("/room/a/")
    await facade.ajoin("room:a", "x")
    caplog.clear()  # the memory backend may have warned of a process without pages
    for page in ("/room/a/", "/gallery/a/", "/gallery/a/?sync"):
        assert "2 here: [x Guest  x1] [7 ada" in await visitor.get(page)
    html = await visitor.get("/watch/a/")
    assert "1 here: [x Guest" in html
    assert "ada" not in html
    assert [one["id"] for one in await stored("room:a")] == ["x"]
    assert caplog.records == []


async def test_a_second_tab_never_shows_its_user_twice() -> None:
    visitor = Visitor("ada")
    async with visitor.opens("/room/a/") as one:
        await stored_once("room:a", 1)
        async with visitor.opens("/room/a/") as two:
            await two.until("1 here: [7 ada  x2]")
            await one.until("1 here: [7 ada  x2]")
            (change,) = [page.pushed("join") for page in (one, two) if page.pushed("join")]
            assert len(change) == 1
        await one.until("1 here: [7 ada  x1]")
        await one.call("records")
    assert "2 here" not in str(one.frames + two.frames)
    assert one.pushed("leave") == []
    assert len(one.pushed("join")) == 1


async def test_a_second_tab_never_shows_its_user_twice_in_a_process_that_knows_nothing(
    valkey_url: str, settings: Settings
) -> None:
    settings.DJUST_PRESENCE = {"BACKEND": "redis", "LOCATION": valkey_url}
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [valkey_url], "prefix": "knows-nothing"},
        }
    }
    await facade.ajoin("room:a", "7", {"name": "elsewhere"})
    await facade.ajoin("room:a", "8")
    async with Visitor("ada").opens("/room/a/") as page:
        await page.until("2 here: [7 ada  x2]")
    assert "3 here" not in str(page.frames)


async def test_tracking_and_untracking_are_at_once_in_what_the_view_reads() -> None:
    async with Visitor("ada").opens("/room/a/") as page:
        await page.call("untrack")
        await page.call("untrack")
        await page.call("track", meta={"color": "red"})
        await page.call("track", meta={"color": "blue"})
        assert page.pushed("count") == [[0, 0, 0], [0, 0, 0], [1, 1, 1], [1, 1, 1]]
        assert "1 here: [7 ada blue x1]" in await page.until("blue")
        assert (await stored_as("room:a", color="blue"))["connections"] == 1


async def test_untracking_leaves_at_once_and_goes_on_watching() -> None:
    async with Visitor("ada").opens("/room/a/") as one, Visitor("grace").opens("/room/a/") as two:
        await one.until("2 here")
        await one.call("untrack")
        assert [gone["id"] for gone in await two.until_pushed("leave")] == ["7"]
        await facade.ajoin("room:a", "x")
        await one.until("2 here", "[8 grace", "[x Guest")
        await one.call("track")
        while [come["id"] for come in two.pushed("join")][-1:] != ["7"]:
            await two.frame()
        await two.until("3 here")


async def test_update_merges_and_none_takes_out_without_a_leave_or_a_join() -> None:
    async with Visitor("ada").opens("/room/a/?color=red") as page:
        await page.until_pushed("join")
        await page.call("update", changes={"size": 3, "color": None})
        (updated,) = await page.until_pushed("update")
        assert updated["meta"] == {"name": "ada", "user_id": 7, "size": 3}
        await page.call("update", changes={"name": None})
        await page.call("update", changes={"name": "Ada L."})
        while page.pushed("update")[-1]["name"] != "Ada L.":
            await page.frame()
        assert page.pushed("update")[-1]["size"] == 3
        assert "None" not in [one["name"] for one in page.pushed("update")]
        assert len(page.pushed("join")) == 1
        assert page.pushed("leave") == []


async def test_there_is_nothing_to_update_before_tracking(caplog: pytest.LogCaptureFixture) -> None:
    async with Visitor("ada").opens("/watch/a/") as page:
        assert (await page.call("update", changes={"size": 3}))["code"] == "failed"
        await page.call("track")
        await page.call("untrack")
        assert (await page.call("update", changes={"size": 3}))["code"] == "failed"
    assert "PresenceError" in caplog.text
    assert "track_presence()" in caplog.text


async def test_restoring_tracks_again_with_the_last_meta() -> None:
    async with Visitor("ada").opens("/room/a/?color=red") as page:
        await page.call("restore")
        await page.call("update", changes={"size": 3})
        await page.call("untrack")
        await page.call("restore")
        assert page.pushed("count") == [[1, 1, 1], [0, 0, 0], [1, 1, 1]]
        await page.until("1 here: [7 ada red x1]")
        record = await stored_as("room:a", size=3)
        assert record["meta"] == {"name": "ada", "user_id": 7, "color": "red", "size": 3}


async def test_restoring_what_was_never_tracked_tracks_nothing() -> None:
    async with Visitor("ada").opens("/watch/a/") as page:
        await facade.ajoin("room:a", "x")
        await page.until("1 here")
        await page.call("restore")
        assert page.pushed("count") == [[1, 1, 1]]


async def test_watching_counts_nobody_and_hears_of_all() -> None:
    async with Visitor("ada").opens("/watch/a/") as watcher:
        async with Visitor("grace").opens("/room/a/"):
            await watcher.until("1 here: [8 grace")
            assert [one["id"] for one in await watcher.until_pushed("join")] == ["8"]
            assert len(await stored_once("room:a", 1)) == 1
        assert [one["id"] for one in await watcher.until_pushed("leave")] == ["8"]
        await watcher.until("0 here")


async def test_a_view_that_does_nothing_hears_nothing() -> None:
    async with Visitor("ada").opens("/idle/a/") as idle, Visitor("grace").opens("/room/a/") as other:
        await other.until("1 here")
        assert await idle.receive_nothing(timeout=0.1)


async def test_groups_do_not_hear_of_each_other() -> None:
    async with Visitor("ada").opens("/room/a/") as one:
        await one.until_pushed("join")
        await one.until("1 here")
        while not await one.receive_nothing(timeout=0.05):
            await one.frame()
        async with Visitor("grace").opens("/room/b/") as two:
            await two.until_pushed("join")
            await two.call("shout")
            assert await one.receive_nothing(timeout=0.1)


# Callbacks


async def test_everybody_hears_of_each_coming_and_going_once_and_in_turn() -> None:
    async with Visitor("ada").opens("/room/a/") as one:
        await one.until_pushed("join")
        for turn in (1, 2, 3):
            async with Visitor("grace").opens("/room/a/") as two:
                assert [come["id"] for come in await two.until_pushed("join")] == ["8"]
                await one.until_pushed("join", 1 + turn)
            await one.until_pushed("leave", turn)
        steps = [
            (frame["event"], frame["payload"]["id"])
            for frame in one.frames
            if frame["type"] == "push" and frame["event"] in ("join", "leave")
        ]
        assert steps == [("join", "7")] + [("join", "8"), ("leave", "8")] * 3


async def test_a_reload_within_the_grace_shows_nobody_leaving(settings: Settings) -> None:
    settings.DJUST_PRESENCE = {"GRACE": 0.3}
    visitor = Visitor()
    async with Visitor("ada").opens("/room/a/") as one:
        async with visitor.opens("/room/a/"):
            await one.until("2 here")
        async with visitor.opens("/room/a/") as again:
            await again.until("2 here")
            assert "3 here" not in str(again.frames)
            assert again.pushed("join") == []
            await asyncio.sleep(0.4)
            await again.call("records")
            assert len(again.pushed("records")[-1]) == 2
            assert one.pushed("leave") == []


async def test_callbacks_come_before_the_refresh_with_all_that_has_changed() -> None:
    async with Visitor("ada").opens("/changing/a/") as page:
        first = (await page.until_pushed("change"))[0]
        while not first["joins"]:
            first = (await page.until_pushed("change", len(page.pushed("change")) + 1))[-1]
        assert first["online_count"] == 1
        assert [one["id"] for one in first["joins"]] == ["7"]
        assert first["leaves"] == first["updates"] == []
        before = len(page.pushed("change"))
        await facade.ajoin("room:a", "x", {"color": "red"})
        await page.until("2 here")
        joined = (await page.until_pushed("change", before + 1))[-1]
        assert ([one["id"] for one in joined["joins"]], joined["online_count"]) == (["x"], 2)
        await facade.ajoin("room:a", "x", {"color": "blue"})
        updated = (await page.until_pushed("change", before + 2))[-1]
        assert ([one["color"] for one in updated["updates"]], updated["joins"]) == (["blue"], [])
        await facade.aleave("room:a", "x")
        left = (await page.until_pushed("change", before + 3))[-1]
        assert ([one["id"] for one in left["leaves"]], left["online_count"]) == (["x"], 1)
        kinds = [frame["event"] for frame in page.frames if frame["type"] == "push"]
        assert kinds[-6:] == ["join", "change", "update", "change", "leave", "change"]


async def test_a_callback_that_changes_its_record_changes_no_other() -> None:
    class Greedy(Changing):
        def handle_presence_join(self, presence: Record) -> None:
            presence.clear()

    urlpatterns.append(path("greedy/<room>/", Greedy.as_view()))
    try:
        async with Visitor("ada").opens("/greedy/a/") as page:
            while not (changes := page.pushed("change")) or not changes[-1]["joins"]:
                await page.frame()
            assert changes[-1]["joins"][0]["id"] == "7"
            await page.until("[7 ada")
    finally:
        urlpatterns.pop()


async def test_a_failing_callback_is_logged_and_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    async with Visitor("grace").opens("/broken/a/") as page:
        async with Visitor("ada").opens("/room/a/") as other:
            await page.until("2 here")
            await other.call("shout", payload=1)
            await page.until_event("shout")
        await page.until("1 here")
        assert [one["id"] for one in page.pushed("join")] == ["8"]
    failures = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.name for record in failures] == ["djust_presence"] * 3
    text = [record.getMessage() for record in failures]
    for one, name in zip(text, ("join", "event", "leave"), strict=True):
        assert f"Broken.handle_presence_{name}" in one
    assert all(record.exc_info for record in failures)


# Broadcasts


async def test_a_broadcast_reaches_the_group_its_sender_included() -> None:
    async with (
        Visitor("ada").opens("/room/a/") as one,
        Visitor("grace").opens("/gallery/a/") as two,
        Visitor().opens("/watch/a/") as three,
        Visitor().opens("/room/b/") as elsewhere,
    ):
        await one.until("2 here")
        await two.until("2 here")
        await one.call("shout", payload={"text": "hi", "deep": [1, None]})
        for page in (one, two, three):
            assert await page.until_event("shout") == {"text": "hi", "deep": [1, None]}
        assert await two.until_pushed("heard") == [["shout", {"text": "hi", "deep": [1, None]}]]
        await two.until("seen 1")
        await elsewhere.call("records")
        assert elsewhere.events("shout") == []


async def test_each_view_has_a_payload_of_its_own() -> None:
    async with Visitor("ada").opens("/changing/a/") as one, Visitor("grace").opens("/changing/a/") as two:
        await one.until("2 here")
        await two.until("2 here")
        await one.call("shout", payload={"seen by": []})
        assert await one.until_pushed("heard") == [{"seen by": ["7"]}]
        assert await two.until_pushed("heard") == [{"seen by": ["8"]}]


@pytest.mark.parametrize("payload", [object(), {"a": {1}}, math.nan, [math.inf]])
def test_a_broadcast_carries_json_only(payload: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"(?i)json"):
        view_of(Profile).broadcast_to_presence("shout", payload)


async def test_a_broadcast_of_the_mount_waits_until_the_page_is_live() -> None:
    class Greeting(Room):
        def begin(self, request: HttpRequest) -> None:
            self.track_presence()
            self.broadcast_to_presence("greeting", {"from": self.get_presence_user_id()})

    urlpatterns.append(path("greeting/<room>/", Greeting.as_view()))
    try:
        async with Visitor("ada").opens("/room/a/") as one:
            await one.until("1 here")
            visitor = Visitor("grace")
            await visitor.get("/greeting/a/")
            await one.call("records")
            assert one.events("greeting") == []
            async with visitor.socket("/greeting/a/") as two:
                assert await one.until_event("greeting") == {"from": "8"}
                assert await two.until_event("greeting") == {"from": "8"}
    finally:
        urlpatterns.pop()


# Async views


@pytest.mark.parametrize("path", ["/gallery/a/", "/gallery/a/?sync"])
async def test_an_async_mount_tracks(path: str) -> None:
    await facade.ajoin("room:a", "x")
    async with Visitor("ada").opens(path) as page:
        assert "2 here" in page.html
        await page.until("[7 ada red x1]")
        assert [one["id"] for one in await page.until_pushed("join")] == ["7"]
    assert "1 here" not in str(page.frames)


async def test_every_method_has_its_twin() -> None:
    async with Visitor("ada").opens("/gallery/a/") as page:
        await page.until("1 here")
        await stored_once("room:a", 1)
        assert (await page.call("atwins"))["type"] == "ack"
        assert page.pushed("counted") == [1]
        assert page.pushed("listed") == [["7"]]
        assert page.pushed("left") == [0]
        assert page.pushed("back") == [1]
        assert await page.until_event("called") == [1]
        await page.until("[7 ada green x1]")


def test_the_twins_are_complete() -> None:
    names = [
        name
        for name in vars(PresenceMixin)
        if "presence" in name and not name.startswith(("_", "get_", "handle_"))
    ]
    methods = {name for name in names if callable(getattr(PresenceMixin, name))}
    sync = {name for name in methods if not name.startswith("a")}
    assert {f"a{name}" for name in sync} == methods - sync
    assert len(sync) == 7


@pytest.mark.parametrize("name", ["list_presences", "presence_count"])
async def test_a_read_that_would_hold_up_the_loop_names_its_twin(name: str) -> None:
    view = view_of(Profile)
    with pytest.raises(PresenceError, match=f"await .*a{name}"):
        getattr(view, name)()


async def test_tracking_in_the_loop_does_not_hold_it_up() -> None:
    view = view_of(Profile)
    await asyncio.to_thread(facade.join, "profiles", "x")
    view.track_presence()
    view.watch_presence()
    view.untrack_presence()
    view.broadcast_to_presence("x")
    await asyncio.to_thread(view._presence.mounted)
    assert view.online_count == 1


# A store that does not answer


@pytest.fixture
def frozen(settings: Settings) -> Iterator[Any]:
    from tests.servers import RedisServer, find_valkey_server

    with RedisServer(find_valkey_server()) as server:
        settings.DJUST_PRESENCE = {
            "BACKEND": "redis",
            "LOCATION": server.url(),
            "OPTIONS": {"timeout": 0.3, "read_timeout": 0.2},
            "GRACE": 0,
        }
        settings.CHANNEL_LAYERS = {
            "default": {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": {"hosts": [server.url()], "prefix": "frozen"},
            }
        }
        yield server
        server.thaw()


async def test_pages_go_on_working_while_redis_hangs(frozen: Any, caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    frozen.freeze()
    began = loop.time()
    visitor = Visitor("ada")
    for page, here in (("/room/a/", 1), ("/gallery/a/", 1), ("/watch/a/", 0)):
        assert f"{here} here" in await visitor.get(page)
    assert loop.time() - began < 3
    async with visitor.opens("/room/a/") as one:
        assert "1 here: [7 ada  x1]" in one.html
        began = loop.time()
        for _ in range(5):
            await one.call("track", meta={"color": "red"})
            await one.call("update", changes={"color": "blue"})
            await one.call("untrack")
            await one.call("shout", payload=1)
            await one.call("records")
            await one.call("track", meta={"color": "green"})
        assert loop.time() - began < 4  # thirty reads would take six seconds
        assert one.pushed("count") == [[1, 1, 1], [0, 0, 0], [1, 1, 1]] * 5
        await one.until("1 here: [7 ada green x1]")
        await until(lambda: all(f"{calls} fail" in caplog.text for calls in ("writes", "reads")))
        frozen.thaw()
        (record,) = await stored_once("room:a", 1)
        assert record["color"] == "green"
        assert [one["id"] for one in await one.until_pushed("join")] == ["7"]
    said = [record.getMessage() for record in caplog.records if "Presence store" in record.getMessage()]
    for calls in ("writes", "reads"):
        first, *ended = (line for line in said if calls in line)
        assert first.startswith(f"Presence store: {calls} fail (Redis at 127.0.0.1:")
        assert ended == [f"Presence store: {calls} work again."]


def test_readers_without_a_live_page_say_when_an_outage_begins_and_when_it_ends(
    frozen: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("djust_presence.tracker.lookup.PAUSE", 0)
    frozen.freeze()
    deadline = time.monotonic() + 10
    while "reads fail" not in caplog.text and time.monotonic() < deadline:
        assert lookup.count("room:a") == 0
    frozen.thaw()
    while "reads work again" not in caplog.text and time.monotonic() < deadline:
        lookup.count("room:a")
    assert [record.getMessage()[:28] for record in caplog.records if record.name == "djust_presence"] == [
        "Presence store: reads fail (",
        "Presence store: reads work a",
    ]


# What must never get out


@pytest.fixture
def monitored(valkey_url: str, settings: Settings) -> Iterator[Callable[[], str]]:
    """A site on Redis, and all commands that its server has got, as soon as no more come."""
    settings.DJUST_PRESENCE = {"BACKEND": "redis", "LOCATION": valkey_url}
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [valkey_url], "prefix": "monitored"},
        }
    }
    address = urlsplit(valkey_url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(b"MONITOR\r\n")

        def commands() -> str:
            got = b""
            connection.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                while True:
                    got += connection.recv(1 << 16)
            return got.decode()

        yield commands


async def test_no_session_key_gets_out(
    monitored: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    visitors = [Visitor() for _ in range(3)]
    seen: list[str] = []
    for visitor in visitors:
        seen.append(await visitor.get("/room/a/"))
        seen.append(await visitor.get("/broken/a/"))
    async with (
        visitors[0].opens("/room/a/") as one,
        visitors[1].opens("/broken/a/") as two,
        visitors[2].opens("/gallery/a/") as three,
    ):
        pages = [one, two, three]
        for page in pages:
            await page.until("3 here")
            await page.call("shout", payload=1)
            await page.call("missing")
            await page.call("track", meta={"bad": 1}, more=2)
            await page.call("records")
        records = await stored_once("room:a", 3)
        commands = await asyncio.to_thread(monitored)
    ids = [record["id"] for record in records]
    assert all(one in commands for one in ids)
    keys = [visitor.client.cookies["sessionid"].value for visitor in visitors]
    assert all(len(key) >= 32 for key in keys)
    seen += [str(page.frames) for page in pages] + [caplog.text, commands, repr(records)]
    assert all(key not in text for key in keys for text in seen)


# Refreshes


async def test_a_view_says_how_rarely_it_is_refreshed() -> None:
    async with Visitor("ada").opens("/rare/1/") as rare, Visitor("grace").opens("/room/1/") as often:
        await rare.until("2 here")
        began = time.monotonic()
        async with Visitor().opens("/room/1/"):
            await often.until("3 here")
            await rare.until("3 here")
        assert time.monotonic() - began >= 1.5


@pytest.mark.parametrize("wrong", [-1, "1", True, None, math.nan, math.inf])
def test_an_interval_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(
        ImproperlyConfigured, match=r"Hasty\.presence_refresh_interval must be a number of seconds"
    ):
        type("Hasty", (Room,), {"presence_refresh_interval": wrong})
