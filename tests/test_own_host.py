"""The host that the reference shows: a view that streams how many people are in a room."""

from __future__ import annotations

from typing import Any

import pytest
from channels.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.test import AsyncClient
from django.urls import path
from pytest_django import Settings

from djust_presence import presence
from djust_presence.tracker import get_tracker
from tests.markdown import blocks

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]

(example,) = (block.text for block in blocks("docs/reference/hosts.md") if "StreamHost" in block.text)
names: dict[str, Any] = {"__name__": "docs"}
exec(compile(example, "docs/reference/hosts.md", "exec"), names)

urlpatterns = [path("online/<room>/", names["stream_online"])]


@pytest.fixture(autouse=True)
def quick(settings: Settings, quiet_presence: None) -> None:
    settings.DJUST_PRESENCE = {"GRACE": 0.1, "HEARTBEAT_INTERVAL": 0.5, "TIMEOUT": 0.7, "LOST_GRACE": 0.1}


class Stream(ApplicationCommunicator):
    """The browser's end of the view's stream."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __aenter__(self) -> Stream:
        client = AsyncClient()
        await client.aforce_login(await User.objects.acreate_user(self.name))
        cookie = f"sessionid={client.cookies['sessionid'].value}".encode()
        scope = {"type": "http", "method": "GET", "path": "/online/tea/", "query_string": b""}
        super().__init__(  # type: ignore[no-untyped-call]
            get_asgi_application(), scope | {"headers": [(b"host", b"testserver"), (b"cookie", cookie)]}
        )
        await self.send_input({"type": "http.request"})
        start = await self.receive_output(5)
        assert (b"Content-Type", b"text/event-stream") in start["headers"]
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.send_input({"type": "http.disconnect"})
        await self.wait(5)

    async def until(self, count: int) -> None:
        while (await self.receive_output(5))["body"] != f"data: {count}\n\n".encode():
            pass


async def test_a_stream_counts_its_readers_as_long_as_they_read() -> None:
    async with Stream("ada") as ada:
        await ada.until(1)
        async with Stream("grace") as grace:
            await grace.until(2)
            await ada.until(2)
            assert [one["name"] for one in await presence.alist("room:tea")] == ["ada", "grace"]
        await ada.until(1)
        for _ in range(3):
            await ada.until(1)  # at each heartbeat, so that a dead stream is found
        (connection,) = {session.connection for session in get_tracker().sessions}
        names["stream_host"].close(connection, 4000, "timeout")
        while (await ada.receive_output(5)).get("more_body"):
            pass
    assert not get_tracker().sessions
