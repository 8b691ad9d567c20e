"""The exceptions of this package."""

from __future__ import annotations

__all__ = ["PresenceError", "PresenceKeyError", "PresenceUnavailable"]


class PresenceError(Exception):
    """The base class of this package's exceptions."""


class PresenceKeyError(PresenceError, LookupError):
    """A ``presence_key`` names a variable that the view does not have (yet), or is unusable as a key."""


class PresenceUnavailable(PresenceError):
    """The store did not answer in time, or refused. The call may or may not have been carried out."""
