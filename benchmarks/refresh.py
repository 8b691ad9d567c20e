"""What a join costs a server whose pages show it, beside a bare loop: run with ``python -m benchmarks.refresh``."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import django
import websockets
from django.conf import settings

from tests.servers import RedisServer, Server, SiteServer, find_valkey_server

ROWS = "<ul>{% for p in people %}<li id='p-{{ p.id }}'>{{ p.name }}{% if p.color %} {{ p.color }}{% endif %}</li>{% endfor %}</ul>"
TEMPLATES = {
    "counter": "<p>{{ online_count }} online</p>",
    "list": "<p>{{ online_count }} online</p>" + ROWS,
    "own": "<p>{{ online_count }} online, {{ request.path }}</p>" + ROWS,
}
AT_ONCE = 50
PATIENCE = 120
QUIET = {"HEARTBEAT_INTERVAL": 3000, "TIMEOUT": 6000}  # nobody is asked for a sign of life meanwhile


class RefreshServer(SiteServer):
    """One uvicorn process with the application of this module."""

    def command(self) -> list[str]:
        options = [
            "--host",
            "127.0.0.1",
            "--ws-per-message-deflate",
            "false",
            "--lifespan",
            "off",
            "--log-level",
            "error",
        ]
        return [
            sys.executable,
            "-m",
            "uvicorn",
            *options,
            "--port",
            str(self.port),
            "benchmarks.refresh:application",
        ]

    def start(self) -> Any:
        return Server.start(self)


# In the server


def configure() -> None:
    url = os.environ.get("REDIS_URL")
    shared = {
        "DJUST_PRESENCE": {"BACKEND": "redis", "LOCATION": url, **QUIET},
        "CHANNEL_LAYERS": {
            "default": {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": {"hosts": [url]},
            }
        },
    }
    tags = "{% load djust_presence %}"
    templates = {
        **TEMPLATES,
        **{f"{name}-page": f'{tags}<body>{{% live "{name}" %}}</body>' for name in TEMPLATES},
    }
    loader = ("django.template.loaders.cached.Loader", [("django.template.loaders.locmem.Loader", templates)])
    settings.configure(
        SECRET_KEY="not-secret: measurements only",
        ALLOWED_HOSTS=["127.0.0.1"],
        INSTALLED_APPS=["channels", "djust_presence"],
        ROOT_URLCONF="benchmarks.refresh",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [loader],
                    "context_processors": ["django.template.context_processors.request"],
                },
            }
        ],
        **(shared if url else {"DJUST_PRESENCE": QUIET}),
    )
    django.setup()


def site() -> Any:
    configure()
    from django.core.asgi import get_asgi_application
    from django.urls import path

    from djust_presence import LiveView, PresenceMixin
    from djust_presence.live import LiveViewConsumer

    class Counter(PresenceMixin, LiveView):
        template_name = "counter-page"
        presence_key = "everybody"
        presence_unique_per_connection = True

        def mount(self, request: Any) -> None:
            self.track_presence({"color": "teal"})

    class People(Counter):
        template_name = "list-page"

        def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
            return super().get_context_data(people=self.list_presences(), **kwargs)

    class Own(People):
        template_name = "own-page"

    global urlpatterns
    urlpatterns = [
        path("counter/", Counter.as_view()),
        path("list/", People.as_view()),
        path("own/", Own.as_view()),
    ]
    pages, http = LiveViewConsumer.as_asgi(), get_asgi_application()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await http(scope, receive, send)
        elif scope["path"].startswith("/bare"):
            await bare(scope, receive, send)
        else:
            await pages(scope, receive, send)

    return application


urlpatterns: list[Any] = []
sockets: list[Any] = []


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Pass on what one says; with a number, render the unshareable part for each as often as it has rows."""
    from django.template.loader import get_template
    from django.test import RequestFactory

    await receive()
    await send({"type": "websocket.accept"})
    sockets.append(send)
    while (message := await receive())["type"] != "websocket.disconnect":
        text = message["text"]
        if text.isdigit():
            part, request = get_template("own"), RequestFactory().get("/own/")
            people = [
                {"id": f"anon_conn_{n:032}", "name": "Guest", "color": "teal"} for n in range(int(text))
            ]
            for other in sockets:
                html = part.render({"people": people, "online_count": len(people)}, request)
                frame = json.dumps({"type": "render", "regions": {"live-1": html}})
                await other({"type": "websocket.send", "text": frame})
        else:
            for other in sockets:
                await other({"type": "websocket.send", "text": text})
    sockets.remove(send)


# In the client


def cpu(pid: int) -> float:
    """The milliseconds of processor that all threads of a process have taken."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


class Pages:
    """The sockets of pages, and what was last sent to each."""

    def __init__(self, server: SiteServer, path: str) -> None:
        self.server, self.path = server, path
        self.last: list[str] = []
        self.bytes = 0
        self._stack = AsyncExitStack()
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Pages:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def open(self, count: int, at_once: int = AT_ONCE) -> None:
        self._turns = asyncio.Semaphore(at_once)
        await asyncio.gather(*(self._open() for _ in range(count)))

    async def _open(self) -> None:
        async with self._turns:
            socket = await websockets.connect(
                self.server.url.replace("http", "ws", 1) + self.path,
                origin=websockets.Origin(self.server.url),
                compression=None,
                max_size=None,
                open_timeout=PATIENCE,
                ping_interval=None,
            )
        self._stack.push_async_callback(socket.close)
        self.last.append("")
        reader = asyncio.create_task(self._read(socket, len(self.last) - 1))
        self._stack.callback(reader.cancel)
        self.socket = socket

    async def _read(self, socket: websockets.ClientConnection, number: int) -> None:
        async for text in socket:
            self.last[number] = str(text)
            self.bytes += len(text)

    async def until(self, shown: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not all(shown in text for text in self.last):  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def join(server: SiteServer, kind: str, count: int, joins: int) -> tuple[float, float]:
    """The milliseconds of a join that *count* pages show, and of a bare loop in which they are told as many bytes."""
    took, loop = [], []
    async with Pages(server, f"/{kind}/") as pages, Pages(server, "/bare/") as bare_pages:
        await pages.open(count)
        await pages.until(f"{count} online")
        await bare_pages.open(count + 1)
        for number in range(count + 1, count + 1 + joins):
            await asyncio.sleep(0.4)
            before, counted = cpu(server.pid), pages.bytes
            await pages.open(1)
            await pages.until(f"{number} online")
            await asyncio.sleep(0.2)
            took.append(cpu(server.pid) - before)
            size = (pages.bytes - counted) // number
            bare_pages.last[:] = [""] * len(bare_pages.last)
            before = cpu(server.pid)
            await bare_pages.socket.send(str(number) if kind == "own" else "x" * size)
            await bare_pages.until("online" if kind == "own" else "x")
            await asyncio.sleep(0.2)
            loop.append(cpu(server.pid) - before)
    print(f"{size:8} bytes to each page", end="", flush=True)
    return median(took), median(loop)


async def storm(server: SiteServer, count: int) -> float:
    """The milliseconds that *count* counters cost which open at the same time."""
    async with Pages(server, "/counter/") as pages:
        before = cpu(server.pid)
        await pages.open(count, count)
        await pages.until(f"{count} online")
        await asyncio.sleep(0.5)
        return cpu(server.pid) - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="*", default=["counter", "list", "own"])
    parser.add_argument("--pages", nargs="*", type=int, default=[200])
    parser.add_argument("--joins", type=int, default=9)
    parser.add_argument("--storms", type=int, default=0)
    parser.add_argument("--redis", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        variables = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        if options.redis:
            variables["REDIS_URL"] = stack.enter_context(RedisServer(find_valkey_server())).url()
        for kind in options.kinds:
            for count in options.pages:
                with RefreshServer(variables) as server:
                    print(f"{kind:8} {count:5} pages", end="", flush=True)
                    took, loop = asyncio.run(join(server, kind, count, options.joins))
                print(
                    f"   a join {took:7.1f} ms   bare {loop:7.1f} ms   {took / loop:5.1f} times", flush=True
                )
        storms = []
        for _ in range(options.storms):
            with RefreshServer(variables) as server:
                storms.append(asyncio.run(storm(server, options.pages[0])))
        if storms:
            print(f"a storm of {options.pages[0]} joins {median(storms):7.1f} ms")


if __name__ == "__main__":
    main()
else:
    application = site()
