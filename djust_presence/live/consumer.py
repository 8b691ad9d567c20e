"""The consumer that serves live pages."""

from __future__ import annotations

from ..hosts.socket import Socket
from .host import live_host

__all__ = ["LiveViewConsumer"]


class LiveViewConsumer(Socket):
    """Serves the page that opened the socket: ``"websocket": LiveViewConsumer.as_asgi()`` is all the routing."""

    host = live_host
