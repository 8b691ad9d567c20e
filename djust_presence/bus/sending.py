"""Messages from code that has no bus: jobs, plain views, shells."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import get_channel_layer

from ..backends.base import Backend
from .base import LONGEST_WAIT, Item
from .layer import channel_layer
from .local import LocalBus
from .loops import run
from .messages import encode_item, group_name, message
from .outages import layer_failed, layer_worked

__all__ = ["apublish", "publish", "send"]


def publish(backend: Backend, key: str, items: list[Item]) -> None:
    """Send *items* to every process that serves *key* with *backend*, from a thread without a running loop.

    Raises ``TypeError`` or ``ValueError`` for items that are not JSON. Channel layer errors are only logged.
    """
    if not backend.shared:
        LocalBus.send(key, items)
        return
    encoded = [encode_item(item) for item in items]
    try:
        run(_send, backend, key, encoded)
    except Exception as error:
        layer_failed(get_channel_layer(DEFAULT_CHANNEL_LAYER), error)


async def apublish(backend: Backend, key: str, items: list[Item]) -> None:
    """Do the same as :func:`publish`, for async code."""
    if not backend.shared:
        LocalBus.send(key, items)
        return
    encoded = [encode_item(item) for item in items]
    try:
        await _send(backend, key, encoded)
    except Exception as error:
        layer_failed(get_channel_layer(DEFAULT_CHANNEL_LAYER), error)


async def send(backend: Backend, key: str, items: list[Item]) -> None:
    """Send *items* whose loss nothing repairs: raise the channel layer's error, or ``TimeoutError``."""
    if backend.shared:
        await _send(backend, key, [encode_item(item) for item in items])
    else:
        LocalBus.send(key, items)


async def _send(backend: Backend, key: str, items: Sequence[str]) -> None:
    layer = channel_layer()
    async with asyncio.timeout(LONGEST_WAIT):
        await layer.group_send(group_name(backend.namespace, key), message(key, items))
    layer_worked(layer)
