"""Consumers, async and sync, keep the contract of hosts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.cache import SessionStore
from django.urls import path
from pytest_django import Settings

from djust_presence.channels import PresenceConsumerMixin
from djust_presence.contract import HostContract, HostPage
from tests.client import scope_of
from tests.hosts import store

USERS = {"ada": User(pk=7, username="ada"), "grace": User(pk=8, username="grace")}
Record = dict[str, Any]
TWINS = {
    "presence_count": "apresence_count",
    "list_presences": "alist_presences",
}  # of reads that may have to wait


def key_of(scope: Mapping[str, Any]) -> str:
    return f"room:{scope['url_route']['kwargs']['room']}"


class Room(PresenceConsumerMixin, AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        self.begin()
        await self.send_json(["live"])

    def begin(self) -> None:
        self.track_presence(key_of(self.scope), {"color": "teal"})

    async def receive_json(self, content: list[Any], **kwargs: Any) -> None:
        name, args, named = content
        result = getattr(self, TWINS.get(name, name))(key_of(self.scope), *args, **named)
        await self.send_json(["result", await result if name in TWINS else result])

    async def handle_presence_join(self, key: str, presence: Record) -> None:
        await self.send_json(["told", "join", presence])

    async def handle_presence_leave(self, key: str, presence: Record) -> None:
        await self.send_json(["told", "leave", presence])

    async def handle_presence_update(self, key: str, presence: Record) -> None:
        await self.send_json(["told", "update", presence])

    async def handle_presence_event(self, key: str, event: str, payload: Any) -> None:
        await self.send_json(["told", "event", event, payload])


class SyncRoom(PresenceConsumerMixin, JsonWebsocketConsumer):
    def connect(self) -> None:
        self.accept()
        self.begin()
        self.send_json(["live"])

    def begin(self) -> None:
        self.track_presence(key_of(self.scope), {"color": "teal"})

    def receive_json(self, content: list[Any], **kwargs: Any) -> None:
        name, args, named = content
        self.send_json(["result", getattr(self, name)(key_of(self.scope), *args, **named)])

    def handle_presence_join(self, key: str, presence: Record) -> None:
        self.send_json(["told", "join", presence])

    def handle_presence_leave(self, key: str, presence: Record) -> None:
        self.send_json(["told", "leave", presence])

    def handle_presence_update(self, key: str, presence: Record) -> None:
        self.send_json(["told", "update", presence])

    def handle_presence_event(self, key: str, event: str, payload: Any) -> None:
        self.send_json(["told", "event", event, payload])


class Watching:
    def begin(self: Any) -> None:
        self.watch_presence(key_of(self.scope))


class Watcher(Watching, Room):
    pass


class SyncWatcher(Watching, SyncRoom):
    pass


class Browser(NamedTuple):
    user: Any
    session: SessionStore


class Client(HostPage):
    def __init__(self, router: URLRouter, url: str, browser: Browser) -> None:
        super().__init__()
        self.socket = WebsocketCommunicator(router, url)
        scope_of(self.socket).update(user=browser.user, session=browser.session)
        self.begun = False
        self.results: list[Any] = []

    async def open(self) -> None:
        accepted, _ = await self.socket.connect(timeout=5)
        assert accepted
        while not self.begun:
            await self.receive()

    async def close(self, lost: bool = False) -> None:
        if not self.socket.future.done():
            await self.socket.disconnect(code=1006 if lost else 1001, timeout=5)

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        await self.socket.send_json_to([method, args, kwargs])
        while not self.results:
            await self.receive()
        return self.results.pop()

    async def receive(self) -> None:
        text = await self.socket.receive_from(timeout=10)
        assert isinstance(text, str)
        self.received += text
        match json.loads(text):
            case ["live"]:
                self.begun = True
            case ["result", result]:
                self.results.append(result)
            case ["told", *told]:
                self.told.append(tuple(told))


@pytest.fixture(autouse=True)
def database(db: None) -> None:
    """The thread of sync handlers keeps a connection to a database that some test before has used."""


class ConsumerContract(HostContract):
    lacks = {
        "render": "A consumer has no page over HTTP.",
        "online": "A consumer sends what it likes, and a count only if it is asked.",
        "each-tab": "Which visitors count singly is for get_presence_user_id() of a consumer to say.",
    }
    router: URLRouter

    @pytest.fixture(params=["memory", "redis"])
    def site(self, request: pytest.FixtureRequest, settings: Settings) -> None:
        for name, value in store(request).items():
            setattr(settings, name, value)

    async def browser(self, user: str | None = None) -> Browser:
        session = SessionStore()
        await session.acreate()
        return Browser(USERS[user] if user else AnonymousUser(), session)

    def page(
        self, browser: Browser, room: str, kind: str = "room", params: Mapping[str, str] | None = None
    ) -> HostPage:
        return Client(self.router, f"/{kind}/{room}/?{urlencode(params or {})}", browser)

    def session_key(self, browser: Browser) -> str:
        assert browser.session.session_key
        return browser.session.session_key


class TestAsyncConsumer(ConsumerContract):
    router = URLRouter([path("room/<room>/", Room.as_asgi()), path("watcher/<room>/", Watcher.as_asgi())])


class TestSyncConsumer(ConsumerContract):
    router = URLRouter(
        [path("room/<room>/", SyncRoom.as_asgi()), path("watcher/<room>/", SyncWatcher.as_asgi())]
    )
