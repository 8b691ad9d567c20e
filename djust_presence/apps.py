"""The Django app: registers the system checks."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["PresenceConfig"]


class PresenceConfig(AppConfig):
    name = "djust_presence"
    verbose_name = "Presence"

    def ready(self) -> None:
        from . import checks  # noqa: F401
