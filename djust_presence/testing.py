"""For tests of live views: an end for what runs in the background."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .tracker import close_all

__all__ = ["aclose_presence", "presence"]


async def aclose_presence() -> None:
    """Let everybody who is tracked on the running loop leave, and end all tasks of presence on it."""
    await close_all()


@asynccontextmanager
async def presence() -> AsyncIterator[None]:
    """A block after which nothing of presence is left on the running loop.

    With pytest-asyncio, ``pytest_plugins = ["djust_presence.pytest_plugin"]`` in ``conftest.py`` has the same as a
    fixture, ``quiet_presence``.
    """
    try:
        yield
    finally:
        await close_all()
