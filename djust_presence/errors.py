"""The exceptions of this package."""

from __future__ import annotations

from django.core.checks import Error
from django.core.exceptions import ImproperlyConfigured

__all__ = ["Misconfigured", "PresenceError", "PresenceKeyError", "PresenceUnavailable"]


class PresenceError(Exception):
    """The base class of this package's exceptions."""


class PresenceKeyError(PresenceError, LookupError):
    """A ``presence_key`` names a variable that the view does not have (yet), or is unusable as a key."""


class PresenceUnavailable(PresenceError):
    """The store did not answer in time, or refused. The call may or may not have been carried out."""


class Misconfigured(ImproperlyConfigured):
    """A fault of the settings: a check reports it under *id*, and every use of the backend raises it."""

    def __init__(self, id: str, message: str, hint: str) -> None:
        super().__init__(f"{message} {hint}")
        self.check = Error(message, hint=hint, id=f"djust_presence.{id}")
