"""Explain errors of the Redis client: what they mean, and the cure."""

from __future__ import annotations

import re

__all__ = ["meaning"]

# Patterns are searched in "class of the error: its text", in this order. redis-py removes the code (MOVED, READONLY …)
# from the text of an error that has a class of its own; an error that a script passes on keeps it and has none.
MEANINGS = {
    r"^(Moved|Ask|TryAgain|ClusterDown|ClusterCrossSlot)Error|not allowed in cluster mode": (
        "it is a node of a Redis Cluster; give the address of a single server"
    ),
    r"^(ReadOnly|MasterDown)Error|read only replica": (
        "it is a read-only replica; give the address of its primary"
    ),
    r"^BusyLoadingError": "it is still loading its data; it answers when it has finished",
    r"unknown command [`'](\w+)": (
        r"it does not know the command \1; if it is a Sentinel, give the address of the primary"
    ),
    r"no permissions to run the '([^']+)'": r"its user may not run \1; extend its ACL",
    r"^NoPermissionError.*\bkeys?\b|script can't access": (
        "its user may not use the keys of presence; extend its ACL"
    ),
    r"^NoPermissionError|ACL failure|script can't run": "its user lacks a permission; extend its ACL",
    r"Authentication required": "it asks for a password, and none is set",
    r"without any password configured": "it has no password, but one is set here; remove it",
    r"^AuthenticationError": (
        "it refuses the user or the password; in a URL, percent-encode special characters in both"
    ),
    r"protected mode": "it is in protected mode, for local clients only; set a password on it and here",
    r"^InvalidResponse": "the server there is not Redis; correct host and port",
    r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE": (
        "it does not speak TLS; use redis:// instead of rediss://"
    ),
    r"CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted; set ssl_ca_certs, or correct the host",
    r"max number of clients": "it accepts no more connections; raise its maxclients",
    r"No connection available|Too many connections": (
        "all connections of this process are in use; raise max_connections"
    ),
    r"DB index is out of range|Invalid Database": (
        "it has no database of that number; use 0, or raise its databases"
    ),
    r"^OutOfMemoryError|used memory > 'maxmemory'": "its memory is full; raise its maxmemory",
    r"MISCONF": "it refuses writes because it cannot save its data to disk; look at its log",
    r"BUSY ": "it is busy with the script of another client",
    r"script.*(not an integer|syntax error|Unknown Redis command|Wrong number of args|non deterministic)": (
        "it is too old for the scripts of presence; use Redis 6.2 or newer, or Valkey"
    ),
}


def meaning(error: Exception) -> str:
    """Return a clause without a full stop, and without the arguments of commands: they hold what users write."""
    said = f"{type(error).__name__}: {error}"
    for pattern, clause in MEANINGS.items():
        if found := re.search(pattern, said):
            return found.expand(clause)
    return str(error).rstrip(".") or type(error).__name__
