"""The host of the live views: djust_presence itself, or with ``DJUST=1`` real djust."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING or not getattr(settings, "DJUST", False):
    from djust_presence import LiveView, event_handler
else:
    from djust import LiveView
    from djust.decorators import event_handler

__all__ = ["HAS_PARTS", "LiveView", "event_handler"]

# djust has no {% live "part.html" %}: it finds out by itself what of a page differs.
HAS_PARTS = not getattr(settings, "DJUST", False)
