"""Real-time presence for Django: who is here, on every open page, right across servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import presence
    from .cursor_mixin import LiveCursorMixin
    from .cursors import CursorTracker
    from .errors import PresenceError, PresenceKeyError, PresenceUnavailable
    from .events import event_handler
    from .live import LiveView
    from .mixins import PresenceMixin

__all__ = [
    "CursorTracker",
    "LiveCursorMixin",
    "LiveView",
    "PresenceError",
    "PresenceKeyError",
    "PresenceMixin",
    "PresenceUnavailable",
    "event_handler",
    "presence",
]

_HOMES = {
    "CursorTracker": ".cursors",
    "LiveCursorMixin": ".cursor_mixin",
    "LiveView": ".live",
    "PresenceError": ".errors",
    "PresenceKeyError": ".errors",
    "PresenceMixin": ".mixins",
    "PresenceUnavailable": ".errors",
    "event_handler": ".events",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: asgi.py imports this package before Django is set up."""
    from importlib import import_module

    if name == "presence":
        return import_module(".presence", __name__)
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
