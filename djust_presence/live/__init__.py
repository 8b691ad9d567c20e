"""The built-in host: live views over a WebSocket, through Django's middleware."""

from __future__ import annotations

from ..hosts.lifespan import lifespan
from .consumer import LiveViewConsumer
from .view import LiveView

__all__ = ["LiveView", "LiveViewConsumer", "lifespan"]
