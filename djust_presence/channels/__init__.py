"""Presence in consumers of your own: ``PresenceConsumerMixin``."""

from __future__ import annotations

from .mixin import PresenceConsumerMixin

__all__ = ["PresenceConsumerMixin"]
