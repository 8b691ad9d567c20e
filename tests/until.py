"""Waiting for a condition, with a bound."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

__all__ = ["until", "until_equal", "wait_until"]


async def until(condition: Callable[[], Any], patience: float = 20, *, pause: float = 0.01) -> Any:
    """Return the first true value of *condition*, which may be async; ``TimeoutError`` after *patience* seconds."""
    async with asyncio.timeout(patience):
        while not (value := await _result(condition)):
            await asyncio.sleep(pause)
        return value


async def until_equal(
    get: Callable[[], Any], expected: object, patience: float = 20, *, pause: float = 0.01, name: str = "It"
) -> None:
    """Wait until *get*, which may be async, returns *expected*; the ``AssertionError`` has the last value."""
    value = None

    async def equals() -> bool:
        nonlocal value
        value = await _result(get)
        return bool(value == expected)

    try:
        await until(equals, patience, pause=pause)
    except TimeoutError:
        raise AssertionError(f"{name} is {value!r}, not {expected!r}") from None


def wait_until(condition: Callable[[], object], patience: float = 20) -> None:
    """Wait in a thread without a loop, as `until` does in one."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def _result(call: Callable[[], Any]) -> Any:
    value = call()
    return await value if isawaitable(value) else value
