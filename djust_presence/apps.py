"""The Django app: registers the system checks, djust's adapter, and receivers of log-ins and log-outs."""

from __future__ import annotations

from importlib.util import find_spec

from django.apps import AppConfig, apps

__all__ = ["PresenceConfig"]


class PresenceConfig(AppConfig):
    name = "djust_presence"
    verbose_name = "Presence"

    def ready(self) -> None:
        from . import checks  # noqa: F401

        if find_spec("djust"):
            from . import djust  # noqa: F401
        if apps.is_installed("django.contrib.auth"):
            from .hosts.log_ins import watch_log_ins_and_outs

            watch_log_ins_and_outs()
