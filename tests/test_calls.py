from __future__ import annotations

import asyncio
from typing import Any

import pytest

from djust_presence.calls import awaited, call


async def gives(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def waits_for_what_was_cancelled() -> None:
    task = asyncio.ensure_future(asyncio.sleep(60))
    task.cancel()
    await task


def test_sync_and_async_functions_are_called_alike() -> None:
    assert call(divmod, 7, 2) == (3, 1)
    assert call(gives, value=7) == 7


def test_a_cancellation_inside_of_user_code_is_a_failure_of_that_code() -> None:
    with pytest.raises(RuntimeError, match="was cancelled") as failure:
        call(waits_for_what_was_cancelled)
    assert isinstance(failure.value.__cause__, asyncio.CancelledError)


async def test_a_cancellation_inside_of_what_is_awaited_is_a_failure_of_that() -> None:
    assert await awaited(gives(7)) == 7
    with pytest.raises(RuntimeError, match="was cancelled"):
        await awaited(waits_for_what_was_cancelled())


async def test_a_waiting_caller_can_be_cancelled() -> None:
    task = asyncio.ensure_future(awaited(asyncio.sleep(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
