"""Helpers for tests of live views: an open page without a browser, and an end of background work."""

from __future__ import annotations

from .ending import aclose_presence, presence
from .pages import EventRefused, LivePage

__all__ = ["EventRefused", "LivePage", "aclose_presence", "presence"]
