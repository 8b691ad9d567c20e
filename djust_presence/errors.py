"""What can go wrong, by name."""

from __future__ import annotations

__all__ = ["PresenceError", "PresenceKeyError", "PresenceUnavailable"]


class PresenceError(Exception):
    """The base of everything that this package raises of its own."""


class PresenceKeyError(PresenceError, LookupError):
    """A ``presence_key`` names a variable that the view does not have (yet), or is unusable as a key."""


class PresenceUnavailable(PresenceError):
    """The store did not answer in time, or refused. What was asked for may or may not have happened."""
