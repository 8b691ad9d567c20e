"""The end of presence's background work in a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..bus import end_loops
from ..hosts.workers import workers
from ..rates import LogLimit
from ..tracker import close_all

__all__ = ["aclose_presence", "presence"]


async def aclose_presence() -> None:
    """Let all users tracked on the running loop leave, and end presence's tasks and threads.

    Running handlers are waited for, as settings and databases of a test end with it. Counts of left-out log lines are
    forgotten.
    """
    await close_all()
    await workers.idle()
    await asyncio.to_thread(end_loops)
    LogLimit.forget()


@asynccontextmanager
async def presence() -> AsyncIterator[None]:
    """Run a block, and leave nothing of presence on the running loop after it.

    With pytest-asyncio, ``pytest_plugins = ["djust_presence.pytest_plugin"]`` in ``conftest.py`` has the same as a
    fixture, ``quiet_presence``.
    """
    try:
        yield
    finally:
        await aclose_presence()
