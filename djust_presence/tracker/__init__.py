"""What a process does for presence: one lease, one writer, a replica per served group, and its live sessions."""

from __future__ import annotations

from .group import Companion, Group
from .process import SESSIONS_PER_HOP, Tracker, chunks
from .reads import acount, amembers, count, members
from .registry import (
    asignal,
    close_all,
    drain_all,
    get_tracker,
    serves_if,
    serves_pages,
    serving,
    signal,
    will_serve,
)
from .session import Event, Host, Own, Refresh, Session, by_host, drained

__all__ = [
    "SESSIONS_PER_HOP",
    "Companion",
    "Event",
    "Group",
    "Host",
    "Own",
    "Refresh",
    "Session",
    "Tracker",
    "acount",
    "amembers",
    "asignal",
    "by_host",
    "chunks",
    "close_all",
    "count",
    "drain_all",
    "drained",
    "get_tracker",
    "members",
    "serves_if",
    "serves_pages",
    "serving",
    "signal",
    "will_serve",
]
