"""The recipes for signals, followed to the letter, on two servers of which one dies, with ATOMIC_REQUESTS."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.live_pages import LivePage
from tests.mysite import Member, Mysite
from tests.until import wait_until

PAGE = "docs/how-to/react-to-presence.md"
SETUP = """
INSTALLED_APPS = ["daphne", *INSTALLED_APPS, "djust_presence"]
ASGI_APPLICATION = "mysite.asgi.application"
DATABASES["default"]["ATOMIC_REQUESTS"] = True
DATABASES["default"]["OPTIONS"] = {{"timeout": 30}}
CACHES = {{"default": {{"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "{url}"}}}}
DJUST_PRESENCE = {{"BACKEND": "redis", "LOCATION": "{url}", "LEASE_TTL": 3, "GRACE": 0.3}}
CHANNEL_LAYERS = {{
    "default": {{
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {{"hosts": ["{url}"]}},
    }}
}}
"""
ROUTING = """
from channels.routing import ProtocolTypeRouter
from djust_presence.live import LiveViewConsumer, lifespan

application = ProtocolTypeRouter(
    {"http": application, "websocket": LiveViewConsumer.as_asgi(), "lifespan": lifespan}
)
"""
JOB = """
from django.contrib.auth.models import User
from django.db import transaction
from djust_presence import presence
from pages.models import LastSeen

with transaction.atomic():
    presence.join("support", "robot", {"name": "Robot", "user_id": 999})  # an account that has been deleted
    assert User.objects.count() == 2
    presence.leave("support", "robot")
assert sorted(LastSeen.objects.values_list("user__username", flat=True)) == ["ada", "grace"]
"""


def append(path: Path, text: str) -> None:
    path.write_text(f"{path.read_text()}\n{text}")


class Webhook(BaseHTTPRequestHandler):
    """Records each request, and fails when grace comes."""

    calls: list[str]

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.calls.append(f"{message['who']} {message['what']}")
        self.send_response(500 if self.calls[-1] == "grace came" else 204)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def webhook() -> Iterator[tuple[str, list[str]]]:
    """The address of a webhook, and the joins and leaves that it was sent."""
    calls: list[str] = []
    server = HTTPServer(("127.0.0.1", 0), type("Hook", (Webhook,), {"calls": calls}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", calls
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, condition, 30)


@pytest.mark.redis
async def test_the_recipes_hold_with_several_tabs_and_a_server_that_dies(
    tmp_path: Path, valkey_url: str
) -> None:
    site, other = Mysite(tmp_path), Mysite(tmp_path)
    site.start_project("pages")
    append(tmp_path / "mysite" / "settings.py", SETUP.format(url=valkey_url))
    append(tmp_path / "mysite" / "asgi.py", ROUTING)
    site.follow(PAGE)
    for one in (site, other):
        one.allow("Error calling call_webhook .*HTTP Error 500")
    with webhook() as (url, calls):
        append(tmp_path / "mysite" / "settings.py", f'SUPPORT_WEBHOOK = "{url}"')
        assert site.run("manage.py", "check") == "System check identified no issues (0 silenced).\n"
        with site, other:
            for name in ("ada", "grace"):
                site.sign_up(name)
            ada, grace = Member(site, "ada"), Member(site, "grace")

            def people(name: str) -> str:
                text = ada.get(site, "/people/").split(f"<li>{name}:")[1]
                return " ".join(text.split("</li>")[0].split()).replace("\xa0", " ")

            def helps(text: str) -> bool:
                return all(f"Support is {text}." in ada.get(one, "/help/") for one in (site, other))

            assert helps("away")
            assert people("ada") == "never seen"
            tabs = LivePage(site, "/desk/", ada), LivePage(other, "/desk/", ada)
            for tab in tabs:
                await tab.open()
                await tab.until_online(1)
            await until(lambda: helps("online") and calls == ["ada came"])
            assert people("ada") == "here"
            third = LivePage(other, "/desk/", grace)
            await third.open()
            await tabs[0].until_online(2)
            await tabs[1].close()
            await until(lambda: calls == ["ada came", "grace came"])  # the second of them failed
            assert people("grace") == "here"

            other.kill()
            await tabs[0].until_online(1)
            await until(lambda: calls[2:] == ["grace left"])
            assert people("grace") == "last seen 0 minutes ago"
            assert people("ada") == "here"

            other.start()
            await tabs[0].close()
            await until(lambda: helps("away") and calls[3:] == ["ada left"])
            await until(lambda: people("ada") == "last seen 0 minutes ago")
            await third.close()
            site.run("manage.py", "shell", "-c", JOB)
    assert calls == ["ada came", "grace came", "grace left", "ada left", "Robot came", "Robot left"]
