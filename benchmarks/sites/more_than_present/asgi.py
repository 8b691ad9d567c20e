"""A consumer as its guide has it, which sends how many people the room has."""

from __future__ import annotations

import json
from typing import Any

from asgiref.sync import async_to_sync
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import WebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.dispatch import receiver
from django.urls import path

http = get_asgi_application()

from channels_presence.models import Presence, Room  # noqa: E402
from channels_presence.signals import presence_changed  # noqa: E402


class Watcher(WebsocketConsumer):
    def connect(self) -> None:
        self.group = self.scope["url_route"]["kwargs"]["group"]
        self.accept()
        Room.objects.add(self.group, self.channel_name, self.scope["user"])

    def disconnect(self, code: int) -> None:
        Room.objects.remove(self.group, self.channel_name)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        Presence.objects.touch(self.channel_name)
        if text_data != '"heartbeat"':
            self.send(text_data=text_data)

    def forward_message(self, event: dict[str, Any]) -> None:
        self.send(text_data=event["message"])


@receiver(presence_changed)
def broadcast_presence(sender: Any, room: Any, **kwargs: Any) -> None:
    count = room.get_users().count() + room.get_anonymous_count()
    message = json.dumps({"html": f"<p>{count} online</p>"})
    layer = get_channel_layer()
    assert layer
    async_to_sync(layer.group_send)(room.channel_name, {"type": "forward.message", "message": message})


# In their types, path() takes no consumer, and URLRouter no plain path().
watcher: Any = Watcher.as_asgi()
application = ProtocolTypeRouter(
    {"http": http, "websocket": AuthMiddlewareStack(URLRouter([path("<group>/", watcher)]))}
)
