"""When to look for database connections that have to be closed, where user code runs often and on a loop."""

from __future__ import annotations

from math import inf
from time import monotonic

__all__ = ["CHECK_INTERVAL", "check_is_due", "check_next_time"]

CHECK_INTERVAL = 1.0  # seconds between two looks

_checked_at = -inf


def check_is_due() -> bool:
    """Return whether `CHECK_INTERVAL` has passed since this last returned True.

    Then the caller has them closed in the thread that the ORM calls of all async code share. Channels does that before
    each handler, at the price of a call in a thread; the news of a group come to all its pages at once.
    """
    global _checked_at
    now = monotonic()
    if now - _checked_at < CHECK_INTERVAL:
        return False
    _checked_at = now
    return True


def check_next_time() -> None:
    """Let the next check be due: user code has failed, and a connection may be broken."""
    global _checked_at
    _checked_at = -inf
