"""Where pointers are."""

from __future__ import annotations

from .positions import CursorTracker

__all__ = ["CursorTracker"]
