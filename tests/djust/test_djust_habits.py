"""Habits of Django projects under djust: tasks that outlive the code that started them, user names that are not text."""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.urls import path
from djust import LiveView
from pytest_django import Settings

from djust_presence import PresenceMixin
from tests.djust.pages import DjustVisitor, djust_site
from tests.until import until

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]

ROOM = """<!doctype html><html><body><div dj-root>{% for p in presences %}{{ p.name }}, {% endfor %}</div></body></html>"""


class Room(PresenceMixin, LiveView):
    template_name = "room.html"
    presence_key = "room"

    def mount(self, request: HttpRequest, **kwargs: Any) -> None:
        self.track_presence()

    async def handle_presence_join(self, presence: dict[str, Any]) -> None:
        started.append(asyncio.create_task(write_later()))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "presences": self.list_presences()}


started: list[asyncio.Task[Group]] = []
urlpatterns = [path("room/", Room.as_view())]


async def write_later() -> Group:
    await asyncio.sleep(0.1)
    return await Group.objects.acreate(name="later")


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    for name, value in djust_site({"room.html": ROOM}).items():
        setattr(settings, name, value)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    started.clear()


async def test_a_task_of_an_async_callback_goes_on_when_that_is_over() -> None:
    async with DjustVisitor().opens("/room/") as page:
        await page.until("Guest")
        await until(lambda: started)
        async with asyncio.timeout(10):
            assert (await started[0]).name == "later"


async def test_a_name_of_another_type_is_shown_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(User, "get_username", lambda user: UUID(int=7))
    monkeypatch.setattr(User, "__str__", lambda user: "a user")
    async with DjustVisitor("ada").opens("/room/") as page:
        await page.until(f"{UUID(int=7)}, ")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python has had such a factory since 3.12")
async def test_pages_live_on_a_loop_that_starts_every_task_at_once(transactional_db: None) -> None:
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    async with DjustVisitor("ada").opens("/room/") as page:
        await page.until("ada, ")
        async with DjustVisitor("grace").opens("/room/") as other:
            for one in (page, other):
                await one.until("ada, grace, ")
        while "grace" in page.html:
            await page.frame()
