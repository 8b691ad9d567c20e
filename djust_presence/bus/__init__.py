"""Messages between the processes of a site: within one process, or over the channel layer."""

from __future__ import annotations

from .base import NOTICES, Bus, Item
from .layer import LayerBus, channel_layer
from .local import LocalBus
from .loops import end_loops, run
from .messages import group_name, message
from .sending import apublish, publish, send

__all__ = [
    "NOTICES",
    "Bus",
    "Item",
    "LayerBus",
    "LocalBus",
    "apublish",
    "channel_layer",
    "end_loops",
    "group_name",
    "message",
    "publish",
    "run",
    "send",
]
