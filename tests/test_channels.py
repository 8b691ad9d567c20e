"""Presence in a project's own consumers, async and sync, with the memory backend and on a real Valkey."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.exceptions import DenyConnection, StopConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.cache import SessionStore as CachedSession
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError
from django.http import HttpRequest
from django.test import AsyncClient, override_settings
from django.urls import path
from django.utils import translation
from pytest_django import Settings

from djust_presence import LiveView, PresenceError, PresenceKeyError, PresenceMixin, presence
from djust_presence.channels import PresenceConsumerMixin, callbacks
from djust_presence.channels.host import CALLBACK_WAIT
from djust_presence.hosts.old_connections import CHECK_INTERVAL, check_is_due
from djust_presence.identity import VISITOR
from djust_presence.tracker import get_tracker, serves_pages, serving, trackers
from tests.client import scope_of
from tests.pages import Visitor, site
from tests.until import until

QUICK = {"LEASE_TTL": 3, "GRACE": 0.5, "LOST_GRACE": 2, "DRAIN_GRACE": 1}
PATIENT = {"timeout": 5, "read_timeout": 5}  # seconds: with this LEASE_TTL it would be a quarter of one
ADA, GRACE = User(pk=7, username="ada"), User(pk=8, username="grace")
Record = dict[str, Any]


class Chat(PresenceConsumerMixin, AsyncJsonWebsocketConsumer):
    """Calls the methods that its client names, and tells it of every callback."""

    async def connect(self) -> None:
        await self.accept()
        self.track_presence("chat", scope_of(self).get("meta"))

    async def receive_json(self, content: list[Any], **kwargs: Any) -> None:
        name, arguments, keywords = content
        answer = getattr(self, name)(*arguments, **keywords)
        await self.send_json(["answer", await answer if asyncio.iscoroutine(answer) else answer])

    async def handle_presence_join(self, key: str, presence: Record) -> None:
        await self.send_json(["join", key, presence["id"]])

    async def handle_presence_leave(self, key: str, presence: Record) -> None:
        await self.send_json(["leave", key, presence["id"]])

    async def handle_presence_update(self, key: str, presence: Record) -> None:
        await self.send_json(["update", key, presence["id"], presence.get("color")])

    async def handle_presence_event(self, key: str, event: str, payload: Any) -> None:
        await self.send_json(["event", key, event, payload])


class SyncChat(PresenceConsumerMixin, JsonWebsocketConsumer):
    """The same in threads."""

    def connect(self) -> None:
        self.accept()
        self.track_presence("chat", scope_of(self).get("meta"))

    def receive_json(self, content: list[Any], **kwargs: Any) -> None:
        name, arguments, keywords = content
        self.send_json(["answer", getattr(self, name)(*arguments, **keywords)])

    def handle_presence_join(self, key: str, presence: Record) -> None:
        self.send_json(["join", key, presence["id"]])

    def handle_presence_leave(self, key: str, presence: Record) -> None:
        self.send_json(["leave", key, presence["id"]])

    def handle_presence_update(self, key: str, presence: Record) -> None:
        self.send_json(["update", key, presence["id"], presence.get("color")])

    def handle_presence_event(self, key: str, event: str, payload: Any) -> None:
        self.send_json(["event", key, event, payload])


class Client(WebsocketCommunicator):
    """The other end of a consumer's socket, and all that it was sent."""

    def __init__(self, consumer: Any, **scope: Any) -> None:
        super().__init__(consumer.as_asgi(), "/chat/")
        scope_of(self).update(scope)
        self.heard: list[list[Any]] = []

    async def hear(self) -> list[Any]:
        self.heard.append(json.loads(await self.receive_from(timeout=5)))
        return self.heard[-1]

    async def until(self, *frame: Any) -> None:
        """Return when *frame* has come, at some time."""
        while list(frame) not in self.heard:
            await self.hear()

    async def until_hears(self, frame: list[Any], times: int) -> None:
        while self.heard.count(frame) < times:
            await self.hear()

    async def call(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        """Call a method of the consumer, and return its result."""
        await self.send_json_to([name, arguments, keywords])
        while (await self.hear())[0] != "answer":
            pass
        return self.heard[-1][1]

    async def closed(self) -> int:
        """Return the code with which the server closes the socket."""
        while (message := await self.receive_output(timeout=5))["type"] != "websocket.close":
            self.heard.append(json.loads(message["text"]))
        return int(message.get("code", 1000))


@asynccontextmanager
async def connected(consumer: Any, user: Any = None, **scope: Any) -> AsyncIterator[Client]:
    client = Client(consumer, user=user or AnonymousUser(), **scope)
    accepted, _ = await client.connect(timeout=5)
    assert accepted
    try:
        yield client
    finally:
        if not client.future.done():
            await client.disconnect(timeout=5)


def online(key: str) -> int | None:
    """Return the number of users in the group, if this process serves it."""
    replica = serving(key)
    return replica.count if replica else None


def connections(key: str, user: str) -> int:
    """Return how many connections a user of the group has, as far as this process knows."""
    replica = serving(key)
    member = replica.member(user) if replica else None
    return member.connections if member else 0


@pytest.fixture(params=["memory", "redis"])
def backend(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        yield
        return
    url = request.getfixturevalue("valkey_url")
    layer = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [url], "prefix": url.rpartition("/")[2]},
    }
    with override_settings(
        DJUST_PRESENCE={**QUICK, "BACKEND": "redis", "LOCATION": url, "OPTIONS": PATIENT},
        CHANNEL_LAYERS={"default": layer},
    ):
        yield


@pytest.fixture(autouse=True)
def quick(settings: Settings, quiet_presence: None, db: None) -> None:
    """The thread of sync handlers keeps a connection to a database that some test before has used: so *db*."""
    settings.DJUST_PRESENCE = QUICK


kinds = pytest.mark.parametrize("kind", [Chat, SyncChat])


# Coming and going


@kinds
async def test_joins_leaves_and_updates_are_heard_by_everybody(kind: Any, backend: None) -> None:
    async with connected(kind, ADA, meta={"color": "teal"}) as ada:
        await ada.until("join", "chat", "7")
        async with connected(kind, GRACE) as grace:
            await ada.until("join", "chat", "8")
            await grace.until("join", "chat", "8")
            assert await ada.call("presence_count", "chat") == 2
            first, second = await grace.call("list_presences", "chat")
            assert (first["name"], first["color"], first["user_id"]) == ("ada", "teal", 7)
            assert (second["name"], second["meta"]) == ("grace", {"name": "grace", "user_id": 8})
            await ada.call("update_presence", "chat", color="red")
            await grace.until("update", "chat", "7", "red")
            await ada.call("update_presence", "chat", color=None)
            await grace.until("update", "chat", "7", None)
            await grace.call("broadcast_to_presence", "chat", "wave", {"hand": "left"})
            for client in (ada, grace):
                await client.until("event", "chat", "wave", {"hand": "left"})
            await grace.call("untrack_presence", "chat")
            await ada.until("leave", "chat", "8")
            await grace.until("leave", "chat", "8")  # it goes on watching
            assert await grace.call("presence_count", "chat") == 1
    told = [frame for frame in ada.heard if frame[0] in ("join", "leave")]
    assert told == [["join", "chat", "7"], ["join", "chat", "8"], ["leave", "chat", "8"]]
    assert [frame for frame in grace.heard if frame[0] == "join"] == [["join", "chat", "8"]]


@kinds
async def test_a_consumer_may_have_several_keys_and_leaves_all_at_its_end(kind: Any, backend: None) -> None:
    async with connected(kind, GRACE) as grace:
        for key in ("a", "b"):
            await grace.call("watch_presence", key)
        async with connected(kind, ADA) as ada:
            await ada.call("track_presence", "a", {"color": "red"})
            await ada.call("track_presence", "b")
            for key in ("chat", "a", "b"):
                await grace.until("join", key, "7")
            assert await ada.call("presence_count", "a") == 1
            assert (await grace.call("list_presences", "a"))[0]["color"] == "red"
        for key in ("chat", "a", "b"):
            await grace.until("leave", key, "7")


async def test_an_unwatched_group_is_not_heard_of_until_it_is_watched_again() -> None:
    async with connected(Chat, GRACE) as grace, connected(Chat, ADA) as ada:
        await grace.call("track_presence", "a")
        await ada.call("track_presence", "a")
        await ada.until("join", "a", "7")
        await grace.call("unwatch_presence", "a")
        await ada.until("leave", "a", "8")
        await grace.call("unwatch_presence", "a")  # nothing
        await ada.call("broadcast_to_presence", "a", "unheard")
        await ada.call("untrack_presence", "a")
        await ada.until("leave", "a", "7")
        await grace.call("watch_presence", "a")
        await ada.call("broadcast_to_presence", "a", "heard")
        await grace.until("event", "a", "heard", None)
        assert [frame for frame in grace.heard if frame[0] in ("leave", "event")] == [
            ["event", "a", "heard", None]
        ]


@kinds
async def test_closing_one_of_two_sockets_keeps_the_user_present(kind: Any, backend: None) -> None:
    async with connected(kind, GRACE) as grace, connected(kind, ADA) as first:
        await grace.until("join", "chat", "7")
        async with connected(kind, ADA) as second:
            await until(lambda: connections("chat", "7") == 2)
            await second.disconnect(code=4403)
        await until(lambda: connections("chat", "7") == 1)
        await first.disconnect(code=4403)
        await grace.until("leave", "chat", "7")
    assert [frame for frame in grace.heard if frame[2] == "7"] == [
        ["join", "chat", "7"],
        ["leave", "chat", "7"],
    ]


async def test_a_channel_layer_of_its_own_may_be_used_beside(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

    class Grouped(Chat):
        groups = ["news"]

        async def news(self, message: dict[str, Any]) -> None:
            await self.send_json(["news", self.presence_count("chat")])

    async with connected(Grouped, ADA) as ada:
        await ada.until("join", "chat", "7")
        layer = get_channel_layer()
        assert layer
        await layer.group_send("news", {"type": "news"})
        await ada.until("news", 1)


async def test_coming_back_within_grace_is_no_join_and_no_leave(backend: None) -> None:
    async with connected(Chat, GRACE) as grace:
        async with connected(Chat, ADA):
            await grace.until("join", "chat", "7")
        async with connected(Chat, ADA):
            await asyncio.sleep(2 * QUICK["GRACE"])
            await grace.call("broadcast_to_presence", "chat", "still")
            await grace.until("event", "chat", "still", None)
    assert [frame[0] for frame in grace.heard] == ["join", "join", "event", "answer"] or [
        frame[0] for frame in grace.heard
    ] == ["join", "join", "answer", "event"]


async def test_a_page_and_a_consumer_of_one_group_see_each_other(settings: Settings) -> None:
    for name, value in site({"room.html": "{{ online_count }} online{{ heard }}"}).items():
        setattr(settings, name, value)
    settings.ROOT_URLCONF = __name__
    async with connected(Chat, ADA) as ada, Visitor("grace").opens("/room/") as page:
        await page.until("2 online")
        await ada.until("join", "chat", "8")
        await ada.call("broadcast_to_presence", "chat", "wave", 1)
        await page.until("wave")
        assert await page.until_event("wave") == 1
        await ada.disconnect()
        await page.until("1 online")


class Room(PresenceMixin, LiveView):
    template_name = "room.html"
    presence_key = "chat"
    heard = ""

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()

    def handle_presence_event(self, event: str, payload: Any) -> None:
        self.heard = event


urlpatterns = [path("room/", Room.as_view())]


async def test_a_consumer_that_is_refused_was_never_present(caplog: pytest.LogCaptureFixture) -> None:
    class Refusing(Chat):
        async def connect(self) -> None:
            self.track_presence("chat")
            self.broadcast_to_presence("chat", "never")
            assert await self.apresence_count("chat") == 2
            raise DenyConnection

    async with connected(Chat, GRACE) as grace:
        await grace.until("join", "chat", "8")
        refused = Client(Refusing, user=ADA)
        assert (await refused.connect(timeout=5))[0] is False
        await refused.disconnect()
        await grace.call("broadcast_to_presence", "chat", "after")
        await grace.until("event", "chat", "after", None)
    assert {frame[0] for frame in grace.heard} == {"join", "answer", "event"}
    assert grace.heard.count(["join", "chat", "7"]) == 0


async def test_a_wish_before_the_socket_is_accepted_takes_effect_then() -> None:
    class Early(Chat):
        async def connect(self) -> None:
            self.track_presence("chat")
            self.broadcast_to_presence("chat", "early", self.presence_count("chat"))
            assert online("chat") == 1
            await self.accept()

    async with connected(Chat, GRACE) as grace:
        await grace.until("join", "chat", "8")
        async with connected(Early, ADA) as ada:
            await grace.until("event", "chat", "early", 2)
            await ada.until("join", "chat", "7")
            await grace.until("join", "chat", "7")


# Identity


async def test_the_identity_comes_from_the_scope_and_can_be_overridden(settings: Settings) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    session = CachedSession()
    session[VISITOR] = "token"
    await sync_to_async(session.save)()

    class Seats(Chat):
        def get_presence_user_id(self) -> str:
            return f"seat-{super().get_presence_user_id()}"

    again = CachedSession(session.session_key)
    async with connected(Chat, GRACE) as grace, connected(Chat, session=again), connected(Seats, ADA):
        await grace.until("join", "chat", "anon_token")
        await grace.until("join", "chat", "seat-7")
        names = {one["id"]: one["name"] for one in await grace.call("list_presences", "chat")}
        assert names == {"8": "grace", "anon_token": "Guest", "seat-7": "ada"}


async def test_a_visitor_is_the_same_in_a_page_and_a_consumer(settings: Settings) -> None:
    for name, value in site({"room.html": "{{ online_count }} online"}).items():
        setattr(settings, name, value)
    settings.ROOT_URLCONF = __name__
    visitor = Visitor()
    async with visitor.opens("/room/") as page:
        session = CachedSession(visitor.client.cookies["sessionid"].value)
        async with connected(Chat, session=session) as chat:
            (record,) = await chat.call("list_presences", "chat")
            await until(lambda: connections("chat", record["id"]) == 2)
            await page.until("1 online")
            assert await chat.call("presence_count", "chat") == 1


async def test_on_a_socket_no_session_is_begun_or_written(settings: Settings) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    for session in (CachedSession(), CachedSession("gone")):
        async with connected(Chat, session=session) as one, connected(Chat, session=session):
            await until(lambda: online("chat") == 2)
            ids = [record["id"] for record in await one.call("list_presences", "chat")]
            assert all(each.startswith("anon_conn_") for each in ids)
            assert not session.modified
            assert session.session_key is None
        await until(lambda: online("chat") == 0)


async def test_a_user_with_the_id_of_a_connection_leaves_with_it_at_once(settings: Settings) -> None:
    settings.DJUST_PRESENCE = QUICK | {"GRACE": 60}
    async with connected(Chat, GRACE):
        async with connected(Chat):
            await until(lambda: online("chat") == 2)
        await until(lambda: online("chat") == 1)


@pytest.mark.parametrize("user_id", [None, "", "\ud800"])
async def test_an_id_that_is_none_is_refused(user_id: Any) -> None:
    class Nobody(Chat):
        def get_presence_user_id(self) -> str:
            return user_id  # type: ignore[no-any-return]

        async def connect(self) -> None:
            await self.accept()
            with pytest.raises(PresenceError, match="get_presence_user_id"):
                self.track_presence("chat")
            await self.send_json("refused")

    async with connected(Nobody) as nobody:
        assert await nobody.hear() == "refused"  # type: ignore[comparison-overlap]


async def test_a_value_that_cannot_be_a_key_or_a_meta_is_refused() -> None:
    class Wrong(Chat):
        async def connect(self) -> None:
            await self.accept()
            wrong_keys: list[Any] = ["", "x" * 256, 7, "\ud800"]
            for key in wrong_keys:
                for wish in (self.track_presence, self.watch_presence, self.presence_count):
                    with pytest.raises(PresenceKeyError, match="Wrong"):
                        wish(key)
                with pytest.raises(PresenceKeyError, match="Wrong"):
                    self.broadcast_to_presence(key, "event")
            with pytest.raises(ValueError, match="'when'"):
                self.track_presence("chat", {"when": object()})
            with pytest.raises(PresenceError, match="nothing to update"):
                self.update_presence("chat", color="red")
            with pytest.raises(ValueError, match="JSON"):
                self.broadcast_to_presence("chat", "event", float("nan"))
            self.untrack_presence("elsewhere")
            assert await self.apresence_count("chat") == 1
            await self.send_json("done")

    await presence.ajoin("chat", "robot")
    async with connected(Wrong) as wrong:
        assert await wrong.hear() == "done"  # type: ignore[comparison-overlap]
    assert online("chat") is None


def test_the_mixin_has_to_come_first() -> None:
    with pytest.raises(TypeError, match="comes after AsyncJsonWebsocketConsumer in .*Wrong"):

        class Wrong(AsyncJsonWebsocketConsumer, PresenceConsumerMixin):
            pass


async def test_a_consumer_without_a_connection_says_so() -> None:
    with pytest.raises(PresenceError, match="Chat has no connection yet"):
        Chat().track_presence("chat")
    with pytest.raises(ValueError, match="Chat serves websockets, not 'http'"):
        await Chat()({"type": "http"}, None, None)  # type: ignore[arg-type]


def test_a_consumer_in_the_routing_makes_its_process_one_that_serves_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trackers, "_serves", False)
    monkeypatch.setattr(trackers, "_signs", [])
    assert not serves_pages()
    Chat.as_asgi()
    assert serves_pages()


# Reads


async def test_a_read_in_a_running_loop_that_would_have_to_ask_the_store_raises() -> None:
    class Reader(Chat):
        async def connect(self) -> None:
            await self.accept()
            with pytest.raises(PresenceError, match="apresence_count"):
                self.presence_count("elsewhere")
            self.track_presence("chat", {"color": "red"})
            assert [one["color"] for one in await self.alist_presences("chat")] == ["red"]
            assert self.presence_count("chat") == await self.apresence_count("chat") == 1
            await self.send_json(
                [await self.apresence_count("elsewhere"), await self.alist_presences("elsewhere")]
            )

    await presence.ajoin("elsewhere", "robot")
    async with connected(Reader, ADA) as reader:
        count, records = await reader.hear()
        assert (count, [one["id"] for one in records]) == (1, ["robot"])


class Listing(Chat):
    async def connect(self) -> None:
        await super().connect()
        await self.send_json(["here", [one["id"] for one in await self.alist_presences("chat")]])


class SyncListing(SyncChat):
    def connect(self) -> None:
        super().connect()
        self.send_json(["here", [one["id"] for one in self.list_presences("chat")]])


@pytest.mark.parametrize("kind", [Listing, SyncListing])
async def test_the_first_read_and_the_news_are_of_the_same_group(kind: Any, backend: None) -> None:
    """Everybody is either in the first list or told as a join, however the two race."""

    await presence.ajoin("chat", "robot", ttl=60)
    jobs = [asyncio.create_task(presence.ajoin("chat", f"job-{n}", ttl=60)) for n in range(20)]
    async with connected(kind, ADA) as ada:
        await asyncio.gather(*jobs)
        await until(lambda: online("chat") == 22)
        await ada.until("join", "chat", "7")
        while not (here := [user for frame in ada.heard if frame[0] == "here" for user in frame[1]]):
            await ada.hear()
        while len({*here} | {frame[2] for frame in ada.heard if frame[0] == "join"}) < 22:
            await ada.hear()


async def test_reads_give_up_while_the_store_is_away(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DJUST_PRESENCE = {"BACKEND": "redis", "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    async with connected(Chat, ADA) as ada, connected(SyncChat, ADA) as sync:
        began = time.monotonic()
        assert await ada.call("apresence_count", "chat") == 1
        assert [one["name"] for one in await sync.call("list_presences", "chat")] == ["ada"]
        assert time.monotonic() - began < 4


# Callbacks


class Slow(Chat):
    """Is slow over each join, and fails if two callbacks run at once."""

    pause = 1.0
    inside = False

    async def handle_presence_join(self, key: str, presence: Record) -> None:
        assert not self.inside
        self.inside = True
        await asyncio.sleep(self.pause)
        self.inside = False
        await super().handle_presence_join(key, presence)

    async def handle_presence_event(self, key: str, event: str, payload: Any) -> None:
        assert not self.inside
        await super().handle_presence_event(key, event, payload)

    async def receive_json(self, content: list[Any], **kwargs: Any) -> None:
        assert not self.inside
        await super().receive_json(content, **kwargs)


async def test_a_slow_consumer_holds_up_only_itself() -> None:
    async with connected(Slow, ADA) as slow, connected(Chat, GRACE) as quick:
        await quick.until("join", "chat", "8")
        began = time.monotonic()
        for n in range(3):
            await quick.call("broadcast_to_presence", "chat", "n", n)
            await quick.until("event", "chat", "n", n)
        assert time.monotonic() - began < Slow.pause / 2 + 3 * CALLBACK_WAIT
        assert slow.output_queue.qsize() == 0
        await slow.until("event", "chat", "n", 2)
        assert await slow.call("presence_count", "chat") == 2
        told = [frame for frame in slow.heard if frame[0] != "answer"]
        assert told == [
            ["join", "chat", "7"],
            ["join", "chat", "8"],
            *(["event", "chat", "n", n] for n in range(3)),
        ]


class InThread(SyncChat):
    threads: ClassVar[list[str]] = []

    def connect(self) -> None:
        self.threads.append(threading.current_thread().name)
        super().connect()

    def handle_presence_join(self, key: str, presence: Record) -> None:
        self.threads.append(threading.current_thread().name)
        super().handle_presence_join(key, presence)


async def test_a_sync_consumers_callbacks_run_in_the_thread_of_its_handlers() -> None:
    InThread.threads.clear()
    async with connected(InThread, ADA) as ada:
        await ada.until("join", "chat", "7")
    assert len(InThread.threads) == 2
    assert len({*InThread.threads}) == 1
    assert InThread.threads[0] != threading.current_thread().name


@kinds
async def test_a_callback_that_fails_is_logged_and_does_not_stop_the_next(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(kind):  # type: ignore[misc]
        def handle_presence_join(self, key: str, presence: Record) -> Any:
            if presence["id"] == "7":
                raise RuntimeError("on purpose")
            return super().handle_presence_join(key, presence)

    async with connected(Failing, ADA) as ada, connected(kind, GRACE):
        await ada.until("join", "chat", "8")
    (line,) = [one for one in caplog.records if one.name == "djust_presence"]
    assert line.getMessage().endswith("Failing.handle_presence_join failed.")
    assert line.exc_info


async def test_a_callback_of_either_kind_may_be_sync_or_async() -> None:
    told: list[tuple[str, str]] = []

    class Mixed(SyncChat):
        async def handle_presence_join(self, key: str, presence: Record) -> None:  # type: ignore[override]
            await asyncio.sleep(0)
            told.append(("async", presence["id"]))

    class OtherWay(Chat):
        def handle_presence_join(self, key: str, presence: Record) -> Any:
            told.append(("sync", presence["id"]))

    async with connected(Mixed, ADA), connected(OtherWay, GRACE):
        await until(lambda: {("async", "8"), ("sync", "8"), ("async", "7")} <= {*told})


async def test_callbacks_of_async_consumers_take_no_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    hops: list[float] = []

    async def hop() -> None:
        hops.append(time.monotonic())

    monkeypatch.setattr(callbacks, "aclose_old_connections", hop)
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(Chat, ADA)) for _ in range(30)]
        async with connected(Chat, GRACE):
            for client in clients:
                await client.until("join", "chat", str(GRACE.pk))
    # Database connections are looked after once in a while, for all consumers.
    assert len(hops) <= (time.monotonic() - began) / CHECK_INTERVAL + 1 < len(clients)


async def test_a_callback_that_fails_leaves_no_broken_connection_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    did: list[str] = []

    async def hop() -> None:
        did.append("look")

    class Failing(Chat):
        async def handle_presence_join(self, key: str, presence: Record) -> None:
            did.append("fail")
            raise OperationalError("The connection is broken.")

    monkeypatch.setattr(callbacks, "aclose_old_connections", hop)
    check_is_due()
    async with connected(Failing, ADA):
        await until(lambda: online("chat") == 1)
        for name in ("b", "c", "d"):
            await presence.ajoin("chat", name)
        await until(lambda: did.count("fail") >= 3)
    _, *rest = [index for index, one in enumerate(did) if one == "fail"]
    assert all(did[index - 1] == "look" for index in rest), did


async def test_callbacks_run_in_the_language_that_the_consumer_has_activated() -> None:
    class Speaking(Chat):
        async def connect(self) -> None:
            translation.activate("de")
            await super().connect()

        async def handle_presence_join(self, key: str, presence: Record) -> None:
            await self.send_json(["language", translation.get_language()])

    async with connected(Speaking, ADA) as ada, connected(Chat, GRACE) as grace:
        await ada.until_hears(["language", "de"], 2)
        await grace.until("join", "chat", "8")
    assert translation.get_language() == "en-us"


async def test_wishes_are_for_threads_too() -> None:
    class Threaded(Chat):
        async def receive_json(self, content: list[Any], **kwargs: Any) -> None:
            await asyncio.to_thread(getattr(self, content[0]))
            await self.send_json(["answer", None])

        def track(self) -> None:
            self.track_presence("a", {"color": "red"})
            assert [one["color"] for one in self.list_presences("a")] == ["red"]

        def go_on(self) -> None:
            self.update_presence("a", color="blue")
            assert [one["color"] for one in self.list_presences("a")] == ["blue"]
            self.broadcast_to_presence("a", "done")
            self.watch_presence("b")
            assert self.presence_count("b") == 0
            self.unwatch_presence("b")

    async with connected(Threaded, ADA) as ada:
        await ada.send_json_to(["track"])
        await until(lambda: online("a") == 1)
        await ada.send_json_to(["go_on"])
        await ada.until("event", "a", "done", None)
        await ada.until("update", "a", "7", "blue")


# The end of a connection


class Noting(Chat):
    """Records how it has ended, and then does things that a consumer should not do there."""

    codes: ClassVar[list[int]] = []

    async def disconnect(self, code: int) -> None:
        self.codes.append(code)
        self.untrack_presence("chat")  # no wish to leave: a page that is reloaded would be seen to
        self.track_presence("late")
        await asyncio.sleep(0.1)
        raise RuntimeError("on purpose")


async def gone_after(watcher: Client) -> float:
    """Return for how many seconds Ada, who has just gone, has still been there."""
    began = time.monotonic()
    await watcher.until("leave", "chat", "7")
    return time.monotonic() - began


AT_ONCE, GRACED, LOST = (0.0, 0.5), (0.5, 2.0), (2.0, 10.0)  # between how many seconds and how many


@pytest.mark.parametrize(
    ("code", "bounds"),
    [(4403, AT_ONCE), (1000, GRACED), (1001, GRACED), (1006, LOST), (1005, LOST), (None, LOST)],
)
async def test_the_grace_follows_the_close_code(code: Any, bounds: tuple[float, float]) -> None:
    async with connected(Chat, GRACE) as watcher:
        ada = Client(Noting, user=ADA)
        await ada.connect()
        await watcher.until("join", "chat", "7")
        await ada.send_input({"type": "websocket.disconnect", "code": code})
        assert bounds[0] <= await gone_after(watcher) < bounds[1]
        with pytest.raises(RuntimeError, match="on purpose"):
            await ada.wait()
        assert online("late") is None
    assert watcher.heard.count(["leave", "chat", "7"]) == 1


@pytest.mark.parametrize("error", [StopConsumer, ValueError])
async def test_a_handler_that_raises_ends_all_presences(error: type[Exception]) -> None:
    class Raising(Chat):
        async def receive(self, text_data: Any = None, bytes_data: Any = None, **kwargs: Any) -> None:
            raise error

    async with connected(Chat, GRACE) as watcher:
        ada = Client(Raising, user=ADA)
        await ada.connect()
        await watcher.until("join", "chat", "7")
        await ada.send_to("now")
        bounds = GRACED if error is StopConsumer else LOST
        assert bounds[0] <= await gone_after(watcher) < bounds[1]
        if error is StopConsumer:
            await ada.wait()
        else:
            with pytest.raises(error):
                await ada.wait()


@kinds
async def test_closing_the_socket_in_a_handler_ends_all_presences_at_once(kind: Any) -> None:
    async with connected(Chat, GRACE) as watcher, connected(kind, ADA) as ada:
        await watcher.until("join", "chat", "7")
        await ada.send_json_to(["close", [], {"code": 4403}])
        assert await gone_after(watcher) < AT_ONCE[1]


async def test_a_server_that_stops_cancels_and_the_lease_is_handed_over(backend: None) -> None:
    ada = Client(Chat, user=ADA)
    await ada.connect()
    await ada.until("join", "chat", "7")
    ada.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ada.future
    assert not get_tracker().sessions
    assert await presence.acount("chat") == 1  # for DRAIN_GRACE
    async with connected(Chat, ADA) as ada:
        await until(lambda: connections("chat", "7") == 2)
        await until(lambda: connections("chat", "7") == 1, patience=10)
        assert ["leave", "chat", "7"] not in ada.heard


async def test_a_callback_that_hangs_ends_with_its_consumer() -> None:
    class Hanging(Chat):
        ended: ClassVar[list[str]] = []

        async def handle_presence_join(self, key: str, presence: Record) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                self.ended.append("yes")

    ada = Client(Hanging, user=ADA)
    await ada.connect()
    await until(lambda: online("chat") == 1)
    await asyncio.sleep(0.05)
    ada.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ada.future
    await until(lambda: Hanging.ended == ["yes"])


@pytest.mark.parametrize("error", [OSError, RuntimeError])
async def test_a_socket_that_is_gone_in_a_callback_is_no_error_in_the_log(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "djust_presence")
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    sent: list[str] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])
        if message["type"] == "websocket.send":
            if error is RuntimeError:  # as uvicorn does, once it has said that the socket is gone
                await inbox.put({"type": "websocket.disconnect", "code": 1001})
                await asyncio.sleep(0.05)
            raise error

    await inbox.put({"type": "websocket.connect"})
    consumer = asyncio.create_task(Chat.as_asgi()({"type": "websocket", "user": ADA}, inbox.get, send))
    await until(lambda: "websocket.send" in sent)
    if error is OSError:
        await inbox.put({"type": "websocket.disconnect", "code": 1001})
    await consumer
    lines = [(one.levelname, one.getMessage()) for one in caplog.records if one.name == "djust_presence"]
    assert lines == [("DEBUG", "A socket is gone.")]


async def test_a_quiet_socket_is_kept(settings: Settings) -> None:
    settings.DJUST_PRESENCE = QUICK | {"HEARTBEAT_INTERVAL": 0.1, "TIMEOUT": 0.2, "LOST_GRACE": 0.1}
    async with connected(Chat, ADA) as ada:
        await asyncio.sleep(0.6)
        assert await ada.call("presence_count", "chat") == 1


# Access


REAUTH = QUICK | {"REAUTH_INTERVAL": 0.1, "GRACE": 60}


@kinds
async def test_a_visitor_who_is_no_longer_allowed_is_closed_and_gone(kind: Any, settings: Settings) -> None:
    settings.DJUST_PRESENCE = REAUTH
    asked: list[Any] = []

    class Asking(kind):  # type: ignore[misc]
        def still_allowed(self, user: Any) -> bool:
            asked.append(user)
            return len(asked) < 3

    async with connected(Chat) as watcher, connected(Asking) as visitor:
        await until(lambda: online("chat") == 2)
        assert await visitor.closed() == 4403
        await until(lambda: online("chat") == 1)
        assert asked == [scope_of(visitor)["user"]] * 3
        assert await watcher.call("presence_count", "chat") == 1


async def test_a_check_that_finds_no_database_again_and_again_closes_its_socket_alone(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DJUST_PRESENCE = REAUTH

    class Working(Chat):
        def still_allowed(self, user: Any) -> bool:
            return True

    class Failing(Chat):
        def still_allowed(self, user: Any) -> bool:
            raise OperationalError("on purpose")

    async with connected(Failing) as failing, connected(Working) as working:
        assert await failing.closed() == 4000
        assert await working.call("presence_count", "chat") >= 1
    assert caplog.text.count("Could not re-check access to open consumers") == 1


async def test_a_check_that_fails_closes_the_socket_to_be_opened_again(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DJUST_PRESENCE = REAUTH

    class Asking(Chat):
        async def still_allowed(self, user: Any) -> bool:
            raise RuntimeError("on purpose")

    async with connected(Asking) as visitor:
        assert await visitor.closed() == 4500
    assert "still_allowed() failed for a consumer" in caplog.text


@pytest.mark.django_db(transaction=True)
async def test_a_user_who_is_deactivated_or_logged_out_is_closed(settings: Settings) -> None:
    settings.DJUST_PRESENCE = REAUTH
    users = [await User.objects.acreate_user(name, password="x") for name in ("ada", "grace", "alan")]
    cookies = [await log_in(user) for user in users]
    async with (
        through_middleware(Chat, cookies[0]) as ada,
        through_middleware(Chat, cookies[1]) as grace,
        through_middleware(Chat, cookies[2]) as alan,
        connected(Chat, users[2]) as token,  # here it is no session that says who this is
    ):
        await until(lambda: online("chat") == 3)
        await asyncio.sleep(0.3)
        await User.objects.filter(pk=users[0].pk).aupdate(is_active=False)
        assert await ada.closed() == 4401
        await until(lambda: online("chat") == 2)
        await sync_to_async(SessionStore(cookies[1]).delete)()
        assert await grace.closed() == 4401
        assert await alan.call("presence_count", "chat") == 1
        await User.objects.filter(pk=users[2].pk).adelete()
        assert await alan.closed() == await token.closed() == 4401


class Entered(threading.local):
    tenant = ""


entered = Entered()


class TenantUsers(ModelBackend):
    """Only tenant "a" has users."""

    asked: ClassVar[list[str]] = []

    def get_user(self, user_id: Any) -> Any:
        self.asked.append(entered.tenant)
        return super().get_user(user_id) if entered.tenant == "a" else None


class Tenants(Chat):
    @contextmanager
    def access_context(self) -> Iterator[None]:
        entered.tenant = scope_of(self)["tenant"]
        try:
            yield
        finally:
            entered.tenant = ""


@pytest.mark.django_db(transaction=True)
async def test_a_consumer_with_a_context_of_its_own_is_checked_inside_it(settings: Settings) -> None:
    settings.DJUST_PRESENCE = REAUTH
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.TenantUsers"]
    ada = await User.objects.acreate_user("ada")
    session = {"_auth_user_id": str(ada.pk), "_auth_user_backend": f"{__name__}.TenantUsers"}
    session["_auth_user_hash"] = ada.get_session_auth_hash()
    stored = SessionStore()
    stored.update(session)
    await stored.asave()
    async with (
        connected(Tenants, ada, session=stored, tenant="a") as here,
        connected(Tenants, ada, session=stored, tenant="b") as elsewhere,
    ):
        assert await elsewhere.closed() == 4401
        await until(lambda: TenantUsers.asked[-2:] == ["a", "a"])
        TenantUsers.asked = []
        await until(lambda: len(TenantUsers.asked) > 3)
        assert set(TenantUsers.asked) == {"a"}
        assert await here.call("presence_count", "chat") == 1


@pytest.mark.django_db(transaction=True)
async def test_a_consumer_whose_context_fails_costs_no_other_one(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DJUST_PRESENCE = REAUTH

    class Broken(Chat):
        @contextmanager
        def access_context(self) -> Iterator[None]:
            raise LookupError("There is no such tenant.")
            yield

    ada, grace = [await User.objects.acreate_user(name) for name in ("ada", "grace")]
    async with connected(Broken, ada) as broken, connected(Chat, grace) as fine:
        await until(lambda: "There is no such tenant." in caplog.text)
        assert await broken.call("presence_count", "chat") == 2
        await User.objects.filter(pk=grace.pk).aupdate(is_active=False)
        assert await fine.closed() == 4401
        assert await broken.call("presence_count", "chat") == 1


@pytest.mark.django_db(transaction=True)
async def test_the_user_of_a_scope_is_refreshed_in_place(settings: Settings) -> None:
    settings.DJUST_PRESENCE = REAUTH
    asked: list[tuple[bool, str, bool]] = []

    class Asking(Chat):
        def still_allowed(self, user: Any) -> bool:
            asked.append((user is self.scope["user"], user.first_name, user.is_verified))
            return True

    ada = await User.objects.acreate_user("ada")
    mine = await User.objects.aget(pk=ada.pk)
    mine.is_verified = True  # type: ignore[attr-defined]
    async with connected(Asking, mine):
        await until(lambda: (True, "", True) in asked)
        await User.objects.filter(pk=ada.pk).aupdate(first_name="Augusta")
        await until(lambda: (True, "Augusta", True) in asked)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("engine", ["db", "cache", "signed_cookies"])
async def test_a_log_out_closes_the_sockets_of_its_session_at_once(engine: str, settings: Settings) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.DJUST_PRESENCE = QUICK | {"GRACE": 60}
    user = await User.objects.acreate_user("ada")
    client = AsyncClient()
    await client.aforce_login(user)
    if engine == "signed_cookies":  # a live page has left the visitor's token
        session = await client.asession()
        session[VISITOR] = "token"
        await session.asave()
        client.cookies["sessionid"] = str(session.session_key)
    visitor_session = await sync_to_async(new_session)()
    async with (
        through_middleware(Chat, client.cookies["sessionid"].value) as ada,
        through_middleware(Chat, await log_in(user)) as elsewhere,
        through_middleware(Chat, visitor_session) as visitor,
    ):
        await until(lambda: online("chat") == 2)
        await client.alogout()
        assert await ada.closed() == 4401
        await until(lambda: connections("chat", str(user.pk)) == 1)
        for other in (elsewhere, visitor):
            assert await other.call("presence_count", "chat") == 2


async def log_in(user: User) -> str:
    """Return the cookie of a new session of *user*."""
    client = AsyncClient()
    await client.aforce_login(user)
    return client.cookies["sessionid"].value


def new_session() -> str:
    """Return the cookie of a new session that is not logged in."""
    session = import_module(django_settings.SESSION_ENGINE).SessionStore()
    session["basket"] = 1
    session.save()
    return str(session.session_key)


@asynccontextmanager
async def through_middleware(consumer: Any, cookie: str) -> AsyncIterator[Client]:
    """A client whose scope gets its user and session from Channels' own middleware."""
    client = Client(consumer)
    client.application = AuthMiddlewareStack(consumer.as_asgi())
    client.scope["headers"] = [(b"cookie", f"sessionid={cookie}".encode())]
    accepted, _ = await client.connect(timeout=5)
    assert accepted
    try:
        yield client
    finally:
        if not client.future.done():
            await client.disconnect(timeout=5)
