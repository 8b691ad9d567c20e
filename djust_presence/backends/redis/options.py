"""The options of the Redis backend."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from math import inf
from typing import Any

from django.core.checks import Error

from ...conf import TIMEOUTS_PER_TTL, Settings

__all__ = ["Options", "of_connection", "passed_on"]

PASSED_ON = (
    "client_name",
    "credential_provider",
    "db",
    "health_check_interval",
    "password",
    "protocol",
    "socket_keepalive",
    "socket_keepalive_options",
    "username",
)
# Seconds, where the option is not set, however long LEASE_TTL is.
LONGEST = {"timeout": 5.0, "read_timeout": 1.0}


def passed_on(name: str) -> bool:
    """Return whether redis-py's connections get this option unchanged, None included."""
    return name in PASSED_ON or name.startswith("ssl_")


def of_connection(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if passed_on(name)}


@dataclass(frozen=True, slots=True)
class Options:
    """The options that are the backend's own. Times are in seconds; None stands for what LEASE_TTL allows."""

    CACHE: str | None = None
    prefix: str = "djp"
    timeout: float | None = None
    read_timeout: float | None = None
    max_connections: int = 16

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Options:
        """Return *options*, checked. Raises ``TypeError`` for an unknown one or a wrong type."""
        known = [field.name for field in fields(cls)]
        if unknown := [name for name in options if name not in known and not passed_on(name)]:
            raise TypeError(
                f"the redis backend has no option {', '.join(map(repr, unknown))}; "
                f"it takes {', '.join([*known, *PASSED_ON])} and ssl_..."
            )
        own = cls(**{name: value for name, value in options.items() if name in known})
        for name, kind in [("timeout", int | float), ("read_timeout", int | float), ("max_connections", int)]:
            value = getattr(own, name)
            if value is None and name in LONGEST:
                continue
            if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < inf:
                raise TypeError(
                    f"the option {name!r} of the redis backend must be a number above 0, not {value!r}"
                )
        if not re.fullmatch(r"[^{}]+", str(own.prefix)):
            raise TypeError(
                f"the option 'prefix' of the redis backend must be text without braces, not {own.prefix!r}"
            )
        cache: Any = own.CACHE
        if cache is not None and (not isinstance(cache, str) or "://" in cache):
            raise TypeError("the option 'CACHE' of the redis backend must be an alias in CACHES")
        return own

    def timeouts(self, settings: Settings) -> tuple[float, float]:
        """Return the seconds that a write waits for the server, and those that a read does."""
        write = self.timeout or min(LONGEST["timeout"], settings.longest_timeout)
        return write, self.read_timeout or min(LONGEST["read_timeout"], write)

    def check(self, settings: Settings) -> Iterator[Error]:
        """Yield an error for each timeout that is too long for LEASE_TTL."""
        for name in LONGEST:
            value = getattr(self, name)
            if value is not None and value > settings.longest_timeout:
                yield Error(
                    f"DJUST_PRESENCE['OPTIONS'][{name!r}] is {value:g} seconds, above LEASE_TTL / 12 "
                    f"({settings.longest_timeout:g} seconds): a process that waits so long on a dead connection can lose its lease.",
                    hint=f"Remove {name!r}, which then follows LEASE_TTL; or set it to {settings.longest_timeout:g} "
                    f"at most, or LEASE_TTL to {value * TIMEOUTS_PER_TTL:g} at least.",
                    id="djust_presence.E014",
                )
