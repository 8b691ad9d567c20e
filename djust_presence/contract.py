"""The contracts of backends and hosts as tests, for those who write one. Needs pytest and pytest-asyncio."""

from __future__ import annotations

from .testing.backends import BackendContract
from .testing.hosts import HostContract, HostPage

__all__ = ["BackendContract", "HostContract", "HostPage"]
