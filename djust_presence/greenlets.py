"""Detection of gevent: under its patches the event loop of one greenlet seems to run in all greenlets of its thread."""

from __future__ import annotations

import sys

from .errors import PresenceError

__all__ = ["NOT_SUPPORTED", "holds_up", "is_patched"]

NOT_SUPPORTED = (
    "Presence does not support workers that gevent has monkey-patched: while one of their greenlets runs an event loop, "
    "calls of presence in the others fail. Use threads (gunicorn --worker-class gthread --threads 8), or an ASGI server."
)


def is_patched() -> bool:
    """Return whether gevent has monkey-patched the threads of this process."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def holds_up(advice: str) -> PresenceError:
    """Return the error of a blocking call in a running event loop, with *advice* where the loop is the caller's own."""
    return PresenceError(NOT_SUPPORTED if is_patched() else advice)
