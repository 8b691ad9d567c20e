"""What an ASGI server runs: Django for HTTP, live views for WebSockets."""

from __future__ import annotations

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

from djust_presence.live import LiveViewConsumer, lifespan

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")

application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": LiveViewConsumer.as_asgi(),
        "lifespan": lifespan,
    }
)
