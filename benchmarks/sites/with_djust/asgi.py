"""djust's consumer, as its guide routes it."""

from __future__ import annotations

from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

http = get_asgi_application()

from djust.websocket import LiveViewConsumer  # noqa: E402

# In their types, path() takes no consumer, and URLRouter no plain path().
consumer: Any = LiveViewConsumer.as_asgi()
application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter([path("ws/live/", consumer)]))
        ),
    }
)
