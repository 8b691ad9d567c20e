"""A first attempt with Channels: a consumer that sends the number of its group's sockets to all of them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.core.cache import cache
from django.urls import path

from .settings import REDIS_URL

http = get_asgi_application()
counts: Counter[str] = Counter()


def count(group: str, by: int) -> int:
    """Change the number of a group: of this process, or where there is a Redis of all."""
    if REDIS_URL:
        cache.add(group, 0, None)
        return int(cache.incr(group, by))
    counts[group] += by
    return counts[group]


class Watcher(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.group = self.scope["url_route"]["kwargs"]["group"]
        await self.accept()
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.change(1)

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)
        await self.change(-1)

    async def change(self, by: int) -> None:
        number = await sync_to_async(count)(self.group, by)
        await self.channel_layer.group_send(self.group, {"type": "tell", "count": number})

    async def tell(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"html": f"<p>{message['count']} online</p>"}))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data and text_data.startswith('{"type":"cursor"'):
            await self.channel_layer.group_send(self.group, {"type": "forward", "text": text_data})
        else:
            await self.send(text_data=text_data)

    async def forward(self, message: dict[str, Any]) -> None:
        await self.send(text_data=message["text"])


# In their types, path() takes no consumer, and URLRouter no plain path().
watcher: Any = Watcher.as_asgi()
application = ProtocolTypeRouter({"http": http, "websocket": URLRouter([path("<group>/", watcher)])})
