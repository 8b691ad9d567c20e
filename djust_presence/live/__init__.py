"""The built-in host: live views over a WebSocket, through Django's middleware."""

from __future__ import annotations

from .consumer import LiveViewConsumer
from .host import lifespan
from .view import LiveView

__all__ = ["LiveView", "LiveViewConsumer", "lifespan"]
