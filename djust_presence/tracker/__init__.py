"""What a process does for presence: one lease, one writer, a replica per served group, and its live sessions."""

from __future__ import annotations

from .endings import NO_STATUS, Ending
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
from .session import Event, Host, Own, Refresh, Session, by_host, drained, in_loop

__all__ = [
    "NO_STATUS",
    "SESSIONS_PER_HOP",
    "Companion",
    "Ending",
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
    "in_loop",
    "members",
    "serves_if",
    "serves_pages",
    "serving",
    "signal",
    "will_serve",
]
