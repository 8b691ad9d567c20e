"""The ASGI application of the whiteboard."""

from __future__ import annotations

from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.urls import path

http = ASGIStaticFilesHandler(get_asgi_application())

from djust.routing import DjustMiddlewareStack  # noqa: E402
from djust.websocket import LiveViewConsumer  # noqa: E402

from djust_presence.live import LiveViewConsumer as PresenceConsumer  # noqa: E402
from djust_presence.live import lifespan  # noqa: E402

# In their types, path() takes no consumer, and URLRouter no plain path().
consumer: Any = LiveViewConsumer.as_asgi()
sockets = URLRouter([path("ws/live/", consumer), path("presence/", PresenceConsumer.as_asgi())])
application = ProtocolTypeRouter(
    {"http": http, "websocket": DjustMiddlewareStack(sockets), "lifespan": lifespan}
)
