from __future__ import annotations

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

from djust_presence.live import LiveViewConsumer, lifespan

from .consumers import BoardConsumer, LobbyConsumer

application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter(
            [
                path("lobby/", LobbyConsumer.as_asgi()),
                path("board/", BoardConsumer.as_asgi()),
                re_path("", LiveViewConsumer.as_asgi()),
            ]
        ),
        "lifespan": lifespan,
    }
)
