"""Real djust as a host: its own views and consumer, with presence."""

from __future__ import annotations

from .host import DjustHost, djust_host

__all__ = ["DjustHost", "djust_host"]
