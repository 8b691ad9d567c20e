"""Live pages keep the contract of hosts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import HttpRequest
from django.urls import path
from pytest_django import Settings

from djust_presence import LiveView, event_handler
from djust_presence.contract import HostContract, HostPage
from tests.hosts import Telling, store
from tests.pages import Page, Visitor, site


class Room(Telling, LiveView):
    template_name = "room.html"

    @event_handler()
    def call(self, method: str, args: Any, named: Any) -> None:
        self.answer(method, args, named)


class Watcher(Room):
    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.watch_presence()


class EachTab(Room):
    presence_unique_per_connection = True


urlpatterns = [
    path("room/<room>/", Room.as_view()),
    path("watcher/<room>/", Watcher.as_view()),
    path("each-tab/<room>/", EachTab.as_view()),
]


class RoomPage(HostPage):
    def __init__(self, visitor: Visitor, url: str) -> None:
        super().__init__()
        self.visitor, self.url = visitor, url
        self.stack = AsyncExitStack()
        self.page: Page

    async def open(self) -> None:
        self.page = await self.stack.enter_async_context(self.visitor.opens(self.url))
        for frame in self.page.frames:
            self.take_in(frame)

    async def close(self, lost: bool = False) -> None:
        if lost:
            await self.page.disconnect(code=1006, timeout=5)
        await self.stack.aclose()

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        count = len(self.page.pushed("answer"))
        await self.page.send_json_to(
            {
                "type": "event",
                "ref": 1,
                "name": "call",
                "params": {"method": method, "args": args, "named": kwargs},
            }
        )
        while len(self.page.pushed("answer")) == count:
            await self.receive()
        return self.page.pushed("answer")[-1]["result"]

    async def receive(self) -> None:
        self.take_in(await self.page.frame())

    def take_in(self, frame: dict[str, Any]) -> None:
        self.received += json.dumps(frame)
        assert frame["type"] != "error", frame
        if frame["type"] == "push" and frame["event"] == "told":
            self.told.append(tuple(frame["payload"]["told"]))
        if shown := re.search(r"(\d+) online", self.page.html):
            self.online = int(shown[1])


class TestLiveHost(HostContract):
    @pytest.fixture(params=["memory", "redis"])
    def site(self, request: pytest.FixtureRequest, settings: Settings, pages: None) -> None:
        for name, value in (site({"room.html": "{{ online_count }} online"}) | store(request)).items():
            setattr(settings, name, value)
        settings.ROOT_URLCONF = __name__

    async def browser(self, user: str | None = None) -> Visitor:
        return Visitor(user)

    def page(
        self, browser: Visitor, room: str, kind: str = "room", params: Mapping[str, str] | None = None
    ) -> HostPage:
        return RoomPage(browser, f"/{kind}/{room}/?{urlencode(params or {})}")

    def session_key(self, browser: Visitor) -> str:
        return str(browser.client.cookies["sessionid"].value)

    async def render(self, browser: Visitor, room: str) -> str:
        return await browser.get(f"/room/{room}/")
