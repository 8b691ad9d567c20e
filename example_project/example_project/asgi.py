"""The ASGI application: Django for HTTP, live views for WebSockets."""

from __future__ import annotations

import os
from typing import Any

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

from djust_presence.live import LiveViewConsumer, lifespan

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")

http = get_asgi_application()


def sockets() -> Any:
    from django.conf import settings

    if not getattr(settings, "DJUST", False):
        return LiveViewConsumer.as_asgi()
    from channels.auth import AuthMiddlewareStack
    from channels.routing import URLRouter
    from channels.security.websocket import AllowedHostsOriginValidator
    from django.urls import path
    from djust.websocket import LiveViewConsumer as DjustConsumer

    # In their types, path() takes no consumer, and URLRouter no plain path().
    djust: Any = DjustConsumer.as_asgi()
    router = URLRouter(
        [
            path("ws/live/", djust),
            path("presence/", LiveViewConsumer.as_asgi()),
        ]
    )
    return AllowedHostsOriginValidator(AuthMiddlewareStack(router))


application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": sockets(),
        "lifespan": lifespan,
    }
)
