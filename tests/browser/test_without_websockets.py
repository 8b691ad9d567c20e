"""The guide "Without WebSockets", followed to the letter: gunicorn, a store that its workers share, and two browsers."""

from __future__ import annotations

import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import NewPage
from tests.markdown import blocks
from tests.mysite import Mysite
from tests.servers import RedisServer, find_valkey_server

GUIDE = "docs/how-to/without-websockets.md"
POLLED = 40_000  # milliseconds: goodbye, GRACE, and the polls until a worker has looked for who is gone
VIEW = """
from django.shortcuts import render

urlpatterns += [path("", lambda request: render(request, "pages/room.html"))]
"""
PERSON = "Object.defineProperty(Navigator.prototype, 'webdriver', { get: () => false })"


class Gunicorn(Mysite):
    """The project as the guide has it served, with its Redis at another port."""

    def __init__(self, directory: Path, redis: RedisServer) -> None:
        super().__init__(directory)
        self.start_project("pages")
        self.add("settings.py", 'INSTALLED_APPS += ["pages"]\n')
        self.follow("docs/how-to/any-page.md", "Wire it up")
        self.follow(GUIDE, "Set it up")
        self.follow("docs/how-to/deploy.md", "Static files")
        settings = self.project / "mysite" / "settings.py"
        settings.write_text(settings.read_text().replace("127.0.0.1:6379", f"127.0.0.1:{redis.port}"))
        self.add("urls.py", VIEW)
        head, *_ = (
            one.text for one in blocks("docs/how-to/any-page.md", "Wire it up") if one.language == "html"
        )
        room = self.project / "pages" / "templates" / "pages" / "room.html"
        room.parent.mkdir(parents=True)
        room.write_text(f'<!doctype html><title>Room</title>{head}{{% presence_avatars "room" %}}')

    def add(self, file: str, text: str) -> None:
        with (self.project / "mysite" / file).open("a") as opened:
            opened.write(text)

    def command(self) -> list[str]:
        (served,) = (shlex.split(one.text) for one in blocks(GUIDE) if one.text.startswith("gunicorn "))
        return [
            sys.executable,
            "-m",
            *served,
            "--chdir",
            str(self.project),
            "--bind",
            f"127.0.0.1:{self.port}",
        ]


@pytest_asyncio.fixture(loop_scope="session")
async def mysite(tmp_path: Path) -> AsyncIterator[Gunicorn]:
    with RedisServer(find_valkey_server()) as redis:
        site = Gunicorn(tmp_path, redis)
        site.allow(r"\[INFO\]|Not Found: /(favicon.ico|static/demo/)")
        with site:
            yield site


async def test_readers_of_an_ordinary_page_see_each_other_come_and_go(
    mysite: Gunicorn, new_page: NewPage
) -> None:
    assert "no issues" in mysite.run("manage.py", "check")
    new_page.allow("favicon")
    ada, bob = [await new_page() for _ in range(2)]
    for page in (ada, bob):
        await page.add_init_script(PERSON)
        await page.goto(mysite.url)
    for page in (ada, bob):
        await faces(page, 2)
        await expect(page.locator("html")).to_have_attribute("data-presence-feed", "polling")
    await bob.close()
    await faces(ada, 1)


async def faces(page: Page, number: int) -> None:
    await expect(page.locator(".presence-avatar")).to_have_count(number, timeout=POLLED)
