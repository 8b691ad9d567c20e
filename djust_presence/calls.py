"""Calls of user code, which may be sync or async, and of which no failure is a cancellation of ours."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asgiref.sync import AsyncToSync, async_to_sync

from .background import Lasting

__all__ = ["awaited", "call", "defaults", "is_default"]

T = TypeVar("T")

CANCELLED = "It awaited something that was cancelled."


defaults: set[object] = set()  # callbacks of ours, which need not be called with what it takes time to make


def is_default(callback: object) -> bool:
    """Return whether *callback*, a method, is one that nobody has overridden."""
    return getattr(callback, "__func__", None) in defaults


def call(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """What sync or async *function* returns, called from a thread without a running loop."""
    try:
        result = function(*args, **kwargs)
        return async_to_sync(_awaited)(result) if inspect.iscoroutine(result) else result
    except asyncio.CancelledError as error:
        # No task of ours is cancelled in a thread. Let through, it would pass for the end of whoever waits for this.
        raise RuntimeError(CANCELLED) from error


async def awaited(awaitable: Awaitable[T]) -> T:
    """What *awaitable* gives, in the task of whoever awaits this."""
    try:
        return await awaitable
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError(CANCELLED) from error


async def _awaited(awaitable: Awaitable[T]) -> T:
    AsyncToSync.executors.current = Lasting(AsyncToSync.executors.current)
    return await awaitable
