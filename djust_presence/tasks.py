"""Tasks of this package, on any loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

__all__ = ["start"]

T = TypeVar("T")


def start(work: Coroutine[Any, Any, T], context: Context | None = None) -> asyncio.Task[T]:
    """Start a task on the running loop, which begins at the loop's next turn, even with an eager task factory.

    So the caller can store the task before any of it has run. *context* is a copy of the caller's by default.
    """
    return asyncio.Task(work, loop=asyncio.get_running_loop(), context=context)
