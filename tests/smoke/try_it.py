"""Uses the installed package in this project: checks, pages, a consumer, and the functions for jobs."""

from __future__ import annotations

import asyncio

from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.core.management import call_command
from django.test import Client
from smoke.asgi import application

from djust_presence import PresenceKeyError, presence
from djust_presence.testing import presence as presence_in_a_test


async def visit_the_lobby() -> None:
    async with presence_in_a_test():
        socket = WebsocketCommunicator(application, "/lobby/")
        assert (await socket.connect())[0]
        assert await socket.receive_json_from() == {"online": 1}
        await socket.send_json_to("hello")
        assert await socket.receive_json_from() == {"said": "hello"}
        assert await presence.acount("lobby") == 1
        page = await sync_to_async(Client().get)("/")
        assert "online" in page.content.decode()
        await socket.disconnect()


def work() -> int:
    presence.join("job", "import", meta={"step": 1})
    try:
        presence.join("", "import")
    except PresenceKeyError:
        names: list[str] = [one["id"] for one in presence.list("job")]
        return len(names)
    raise AssertionError("An empty key was taken.")


call_command("check", fail_level="WARNING")
assert b"1 online" in Client().get("/document/1/").content
assert work() == presence.count("job") == 1
asyncio.run(visit_the_lobby())
