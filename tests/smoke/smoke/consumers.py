from __future__ import annotations

from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer

from djust_presence.channels import PresenceConsumerMixin


class LobbyConsumer(PresenceConsumerMixin, AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        self.track_presence("lobby")
        await self.send_json({"online": await self.apresence_count("lobby")})

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.broadcast_to_presence("lobby", "said", content)

    async def handle_presence_event(self, key: str, event: str, payload: Any) -> None:
        await self.send_json({event: payload})


class BoardConsumer(PresenceConsumerMixin, JsonWebsocketConsumer):
    def connect(self) -> None:
        self.accept()
        self.watch_presence("lobby")

    def handle_presence_join(self, key: str, presence: dict[str, Any]) -> None:
        self.send_json({"joined": presence["name"], "online": self.presence_count(key)})
