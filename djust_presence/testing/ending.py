"""The end of all that presence has running in the background of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..bus import end_loops
from ..hosts.lanes import lanes
from ..rates import LogLimit
from ..tracker import close_all

__all__ = ["aclose_presence", "presence"]


async def aclose_presence() -> None:
    """Let everybody who is tracked on the running loop leave, and end all that presence has running.

    Handlers that are at work are waited for: settings and databases of a test go with it. What was left out of the log is
    forgotten.
    """
    await close_all()
    await lanes.idle()
    await asyncio.to_thread(end_loops)
    LogLimit.forget()


@asynccontextmanager
async def presence() -> AsyncIterator[None]:
    """A block after which nothing of presence is left on the running loop.

    With pytest-asyncio, ``pytest_plugins = ["djust_presence.pytest_plugin"]`` in ``conftest.py`` has the same as a
    fixture, ``quiet_presence``.
    """
    try:
        yield
    finally:
        await aclose_presence()
