"""Tasks of this package, on whatever loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

__all__ = ["start"]

T = TypeVar("T")


def start(work: Coroutine[Any, Any, T], context: Context | None = None) -> asyncio.Task[T]:
    """Start a task on the running loop, which begins at its next turn: never at once, though its task factory be eager.

    Whoever calls this can so keep the task before any of it has run. *context* is a copy of the caller's by default.
    """
    return asyncio.Task(work, loop=asyncio.get_running_loop(), context=context)
