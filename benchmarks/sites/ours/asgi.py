"""Live pages, pages with tags, and a Channels consumer."""

from __future__ import annotations

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

http = get_asgi_application()

from djust_presence.channels import PresenceConsumerMixin  # noqa: E402
from djust_presence.live import LiveViewConsumer, lifespan  # noqa: E402


class Watcher(PresenceConsumerMixin, AsyncWebsocketConsumer):
    """Sends how many are here with every change."""

    async def connect(self) -> None:
        await self.accept()
        self.track_presence(self.scope["url_route"]["kwargs"]["group"])

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data)

    async def handle_presence_join(self, key: str, presence: dict[str, Any]) -> None:
        await self.send(text_data=f"<p>{self.presence_count(key)} online</p>")

    handle_presence_leave = handle_presence_join


application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": URLRouter(
            [path("consumer/<group>/", Watcher.as_asgi()), re_path("", LiveViewConsumer.as_asgi())]
        ),
        "lifespan": lifespan,
    }
)
