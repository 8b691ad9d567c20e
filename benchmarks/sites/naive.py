"""What one would write first with Channels: a consumer that sends the number of its group's sockets to all of them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

http = get_asgi_application()
counts: Counter[str] = Counter()


class Watcher(AsyncWebsocketConsumer):  # type: ignore[misc]
    async def connect(self) -> None:
        self.group = self.scope["url_route"]["kwargs"]["group"]
        await self.accept()
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.change(1)

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)
        await self.change(-1)

    async def change(self, by: int) -> None:
        counts[self.group] += by
        await self.channel_layer.group_send(self.group, {"type": "tell", "count": counts[self.group]})

    async def tell(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"html": f"<p>{message['count']} online</p>"}))

    async def receive(self, text_data: str = "", bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data)


application = ProtocolTypeRouter(
    {"http": http, "websocket": URLRouter([path("<group>/", Watcher.as_asgi())])}
)
