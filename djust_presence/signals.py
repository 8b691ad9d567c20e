"""Signals for joins, leaves and updates, for code without a page."""

from __future__ import annotations

from django.dispatch import Signal

__all__ = ["Presence", "presence_joined", "presence_left", "presence_updated"]


class Presence:
    """The sender of every signal of this module."""


# Each is sent once for a change, with key= (the presence key) and presence= (the record; for a leave, the last one), by
# the process that wrote the change, to sync and async receivers.
presence_joined = Signal()
presence_left = Signal()
presence_updated = Signal()
