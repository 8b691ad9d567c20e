"""The rooms of rooms_site and the chats of chat_app, on a loop on which every task starts at once."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from asgiref.typing import Scope
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

http = get_asgi_application()

from djust_presence.live import LiveViewConsumer, lifespan  # noqa: E402  when Django is set up
from tests.cluster.chat_app import Chat, SyncChat  # noqa: E402

router = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": URLRouter(
            [
                path("chat/<room>/", Chat.as_asgi()),
                path("sync/<room>/", SyncChat.as_asgi()),
                re_path("", LiveViewConsumer.as_asgi()),
            ]
        ),
        "lifespan": lifespan,
    }
)


async def application(scope: Scope, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan" and sys.version_info >= (3, 12):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    await router(scope, receive, send)
