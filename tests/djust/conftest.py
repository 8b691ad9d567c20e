"""Fixtures for the tests of djust's views; nothing of djust is imported here."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from djust_presence.testing import presence


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    async with presence():
        yield


@pytest.fixture
def said() -> Iterator[list[str]]:
    """Warnings and worse from the log. The test fails if it does not take all of them out."""
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "in-memory state backend" not in record.getMessage():  # djust, of any test's settings
                lines.append(record.getMessage())

    listener = Listener(logging.WARNING)
    root = logging.getLogger()
    root.addHandler(listener)
    yield lines
    root.removeHandler(listener)
    assert not lines


@pytest.fixture(autouse=True)
def quiet(said: list[str]) -> list[str]:
    return said
