"""Where pointers are."""

from __future__ import annotations

from .hub import Hub, hub_of
from .pointers import Position
from .positions import Cursor, CursorTracker

__all__ = ["Cursor", "CursorTracker", "Hub", "Position", "hub_of"]
