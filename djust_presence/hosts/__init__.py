"""The floor that all hosts stand on."""

from __future__ import annotations

from .base import Host

__all__ = ["Host"]
