"""djust's views keep the contract of hosts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from django.http import HttpRequest
from django.urls import path
from djust import LiveView
from djust.decorators import event_handler
from pytest_django import Settings

from djust_presence.contract import HostContract, HostPage
from tests.djust.pages import DjustPage, DjustVisitor, djust_site
from tests.hosts import Telling, store

ROOM = "<!doctype html><html><body><div dj-root><p>{{ online_count }} online</p></div></body></html>"


class Room(Telling, LiveView):
    template_name = "room.html"

    @event_handler()
    def call(self, method: str = "", args: Any = (), named: Any = None, **kwargs: Any) -> None:
        self.answer(method, args, named)


class Watcher(Room):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.watch_presence()


class EachTab(Room):
    presence_unique_per_connection = True


VIEWS = {"room": Room, "watcher": Watcher, "each-tab": EachTab}
urlpatterns = [path(f"{kind}/<str:room>/", view.as_view()) for kind, view in VIEWS.items()]


class RoomPage(HostPage):
    def __init__(self, visitor: DjustVisitor, kind: str, room: str, params: Mapping[str, str]) -> None:
        super().__init__()
        self.visitor, self.url, self.params = visitor, f"/{kind}/{room}/", params
        self.view = f"{__name__}.{VIEWS[kind].__qualname__}"
        self.stack = AsyncExitStack()
        self.page: DjustPage

    async def open(self) -> None:
        await self.visitor.get(self.url)
        self.page = await self.stack.enter_async_context(self.visitor.socket(self.url, self.view))
        await self.page.mount(**self.params)
        while not self.page.of("mount"):
            await self.receive()

    async def close(self, lost: bool = False) -> None:
        if lost:
            await self.page.disconnect(code=1006, timeout=5)
        await self.stack.aclose()

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        count = len(self.page.pushed("answer"))
        params = {"method": method, "args": args, "named": kwargs}
        await self.page.send_json_to({"type": "event", "event": "call", "params": params, "ref": 1})
        while len(self.page.pushed("answer")) == count:
            await self.receive()
        return self.page.pushed("answer")[-1]["result"]

    async def receive(self) -> None:
        frame = await self.page.frame()
        self.received += json.dumps(frame)
        if frame["type"] == "push_event" and frame["event"] == "told":
            self.told.append(tuple(frame["payload"]["told"]))
        if shown := re.search(r"(\d+) online", self.page.html):
            self.online = int(shown[1])


@pytest.mark.django_db  # Channels looks after database connections at every frame
class TestDjustHost(HostContract):
    @pytest.fixture(params=["memory", "redis"])
    def site(self, request: pytest.FixtureRequest, settings: Settings) -> None:
        for name, value in (djust_site({"room.html": ROOM}) | store(request)).items():
            setattr(settings, name, value)
        settings.ROOT_URLCONF = __name__

    async def browser(self, user: str | None = None) -> DjustVisitor:
        return DjustVisitor(user)

    def page(
        self, browser: DjustVisitor, room: str, kind: str = "room", params: Mapping[str, str] | None = None
    ) -> HostPage:
        return RoomPage(browser, kind, room, params or {})

    def session_key(self, browser: DjustVisitor) -> str:
        return str(browser.client.cookies["sessionid"].value)

    async def render(self, browser: DjustVisitor, room: str) -> str:
        return await browser.get(f"/room/{room}/")
