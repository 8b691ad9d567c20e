"""Waiting for a condition, with a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], patience: float = 15) -> None:
    """Return as soon as *condition* holds; ``TimeoutError`` after *patience* seconds."""
    async with asyncio.timeout(patience):
        while not condition():
            await asyncio.sleep(0.01)
