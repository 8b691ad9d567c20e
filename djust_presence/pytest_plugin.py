"""Fixtures for tests of live views under pytest-asyncio."""

from __future__ import annotations

from .testing.fixtures import quiet_presence

__all__ = ["quiet_presence"]
