"""The contracts of backends and hosts as tests, for those who write one. Needs pytest and pytest-asyncio."""

from __future__ import annotations

from .testing.backends import BackendContract

__all__ = ["BackendContract"]
