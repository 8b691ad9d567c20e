"""The ASGI application of the desk."""

from __future__ import annotations

from channels.routing import ProtocolTypeRouter
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

from djust_presence.live import LiveViewConsumer, lifespan

application = ProtocolTypeRouter(
    {
        "http": ASGIStaticFilesHandler(get_asgi_application()),
        "websocket": LiveViewConsumer.as_asgi(),
        "lifespan": lifespan,
    }
)
