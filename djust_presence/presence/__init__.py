"""Presence for code that has no page open: jobs, plain views, management commands, shells.

Each function asks the store, or the channel layer, and raises ``PresenceUnavailable`` when that does not answer. The
blocking ones raise ``PresenceError`` inside a running event loop; there, await the twin whose name begins with an ``a``.

All raise ``PresenceKeyError`` for a key that is not a text of 1 to 255 characters. A user is a user object, which counts
as its pk, or an id that is taken as text; ``TypeError`` for an instance of any other model. A user without an id (not
logged in, not saved, None) is never present; ``join``, ``heartbeat`` and ``leave`` raise ``ValueError`` for them.

Each process removes expired jobs at most once a second, so one may be listed for a second longer.
"""

from __future__ import annotations

from .jobs import abroadcast, aheartbeat, ajoin, aleave, broadcast, heartbeat, join, leave
from .reading import (
    acount,
    acount_many,
    ais_present,
    alist,
    amembers,
    awhich,
    count,
    count_many,
    is_present,
    list,
    members,
    which,
)

__all__ = [
    "abroadcast",
    "acount",
    "acount_many",
    "aheartbeat",
    "ais_present",
    "ajoin",
    "aleave",
    "alist",
    "amembers",
    "awhich",
    "broadcast",
    "count",
    "count_many",
    "heartbeat",
    "is_present",
    "join",
    "leave",
    "list",
    "members",
    "which",
]
