"""The example project's HTTP, and chats that are Channels consumers: ``/chat/<room>/`` async, ``/sync/<room>/`` sync."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

from djust_presence.channels import PresenceConsumerMixin
from djust_presence.live import lifespan

http = get_asgi_application()


class Named(PresenceConsumerMixin):
    """Its address says who it is."""

    def get_presence_user_id(self) -> str:
        return str(parse_qs(self.scope["query_string"].decode())["user"][0])

    @property
    def room(self) -> str:
        return f"room:{self.scope['url_route']['kwargs']['room']}"


class Chat(Named, AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        self.track_presence(self.room)
        await self.send_json(["here", [one["id"] for one in await self.alist_presences(self.room)]])

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.broadcast_to_presence(self.room, "said", content)

    async def handle_presence_join(self, key: str, presence: dict[str, Any]) -> None:
        await self.send_json(["join", presence["id"]])

    async def handle_presence_leave(self, key: str, presence: dict[str, Any]) -> None:
        await self.send_json(["leave", presence["id"]])

    async def handle_presence_event(self, key: str, event: str, payload: Any) -> None:
        await self.send_json([event, payload])


class SyncChat(Named, JsonWebsocketConsumer):
    def connect(self) -> None:
        self.accept()
        self.track_presence(self.room)
        self.send_json(["here", [one["id"] for one in self.list_presences(self.room)]])

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.broadcast_to_presence(self.room, "said", content)

    def handle_presence_join(self, key: str, presence: dict[str, Any]) -> None:
        self.send_json(["join", presence["id"]])

    def handle_presence_leave(self, key: str, presence: dict[str, Any]) -> None:
        self.send_json(["leave", presence["id"]])

    def handle_presence_event(self, key: str, event: str, payload: Any) -> None:
        self.send_json([event, payload])


application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": URLRouter(
            [path("chat/<room>/", Chat.as_asgi()), path("sync/<room>/", SyncChat.as_asgi())]
        ),
        "lifespan": lifespan,
    }
)
