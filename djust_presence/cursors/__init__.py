"""Cursors: the positions of the pointers of a group's connections, live and in Django's cache."""

from __future__ import annotations

from .live import LiveCursors, live_cursors_of
from .position import Position
from .tracker import Cursor, CursorTracker

__all__ = ["Cursor", "CursorTracker", "LiveCursors", "Position", "live_cursors_of"]
