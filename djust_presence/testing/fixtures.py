"""Fixtures for tests of live views under pytest-asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from .ending import presence

__all__ = ["quiet_presence"]


@pytest_asyncio.fixture
async def quiet_presence() -> AsyncIterator[None]:
    """End presence after the test: no user is present, and no task of presence is left on its loop."""
    async with presence():
        yield
