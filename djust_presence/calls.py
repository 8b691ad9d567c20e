"""Calls of sync or async user code. A cancellation inside it is an error, not a cancellation of this package's task."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asgiref.sync import AsyncToSync, async_to_sync

from .background import Lasting

__all__ = ["awaited", "call", "defaults", "is_default"]

T = TypeVar("T")

CANCELLED = "User code awaited something that was cancelled."


defaults: set[object] = set()  # this package's own callbacks, for which no records need to be made


def is_default(callback: object) -> bool:
    """Return whether *callback*, a method, is this package's own, not an override."""
    return getattr(callback, "__func__", None) in defaults


def call(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Return the result of sync or async *function*, called from a thread without a running loop."""
    try:
        result = function(*args, **kwargs)
        return async_to_sync(_awaited)(result) if inspect.iscoroutine(result) else result
    except asyncio.CancelledError as error:
        # No task of ours is cancelled in a thread. Let through, it would cancel the task that waits for this thread.
        raise RuntimeError(CANCELLED) from error


async def awaited(awaitable: Awaitable[T]) -> T:
    """Return the result of *awaitable*, awaited in the caller's task."""
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
