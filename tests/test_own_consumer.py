"""The guide for a project's own consumers, followed to the letter, until two people chat."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.live_pages import Person
from tests.mysite import Member, Mysite

PAGE = "docs/how-to/in-your-own-consumer.md"
SETTINGS = """
INSTALLED_APPS = ["daphne", *INSTALLED_APPS, "djust_presence", "pages"]
ASGI_APPLICATION = "mysite.asgi.application"
DJUST_PRESENCE = {"GRACE": 0.2}
"""


@asynccontextmanager
async def chat(site: Mysite, person: Person) -> AsyncIterator[websockets.ClientConnection]:
    url = site.url.replace("http", "ws", 1) + "/chat/kitchen/"
    cookies = {"Cookie": person.cookies}
    async with websockets.connect(
        url, additional_headers=cookies, origin=websockets.Origin(site.url)
    ) as socket:
        yield socket


async def hear(socket: websockets.ClientConnection) -> Any:
    async with asyncio.timeout(10):
        return json.loads(await socket.recv())


async def test_two_people_chat_and_hear_each_other_come_and_go(tmp_path: Path) -> None:
    site = Mysite(tmp_path)
    site.start_project("pages")
    site.follow(PAGE)
    settings = tmp_path / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + SETTINGS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nDJANGO_SETTINGS_MODULE = mysite.settings\npythonpath = .\n"
    )
    assert " passed" in site.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "pages")
    with site:
        for name in ("ada", "grace"):
            site.sign_up(name)
        async with chat(site, Member(site, "ada")) as ada:
            assert await hear(ada) == {"here": ["ada"]}
            assert await hear(ada) == {"joined": "ada"}
            async with chat(site, Member(site, "grace")) as grace:
                assert await hear(grace) == {"here": ["ada", "grace"]}
                assert await hear(grace) == await hear(ada) == {"joined": "grace"}
                await grace.send(json.dumps({"typing": True}))
                assert await hear(ada) == await hear(grace) == {"typing": True, "name": "grace"}
                await grace.send(json.dumps({"say": "Tea?"}))
                said = {"said": {"name": "grace", "text": "Tea?"}}
                assert await hear(ada) == await hear(grace) == said
            assert await hear(ada) == {"left": "grace"}
        with pytest.raises(websockets.InvalidStatus, match="403"):
            await chat(site, Person(site)).__aenter__()
