"""The Django app: registers the system checks, and hears of log-ins and log-outs."""

from __future__ import annotations

from django.apps import AppConfig, apps

__all__ = ["PresenceConfig"]


class PresenceConfig(AppConfig):
    name = "djust_presence"
    verbose_name = "Presence"

    def ready(self) -> None:
        from . import checks, hosts  # noqa: F401

        if apps.is_installed("django.contrib.auth"):
            from .live.access import watch_log_ins_and_outs

            watch_log_ins_and_outs()
