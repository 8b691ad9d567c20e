"""The parts shared by all hosts."""

from __future__ import annotations

from .base import Host

__all__ = ["Host"]
