"""Waiting for a condition, with a bound."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

BOUND = 10  # seconds, after which a wait has failed


async def turns() -> AsyncIterator[None]:
    """The turns of a loop that looks for something, for as long as a test may wait."""
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        yield
        await asyncio.sleep(0.01)
