"""Presence in one process: one lease, one writer, a replica per served group, and its live sessions."""

from __future__ import annotations

from ..state.audience import Intent, Refresh
from ..state.events import Event
from .connection import Connection, Host, by_host
from .endings import Ending, drained
from .group import Group
from .lookup import acount, amembers, count, members
from .mount_reads import in_loop
from .refresher import SESSIONS_PER_HOP, chunks
from .session import GroupExtension, Session
from .tracker import Tracker
from .trackers import (
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

__all__ = [
    "SESSIONS_PER_HOP",
    "Connection",
    "Ending",
    "Event",
    "Group",
    "GroupExtension",
    "Host",
    "Intent",
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
