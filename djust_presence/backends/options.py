"""What the settings say of the Redis server and how to reach it, without any I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from django.conf import settings
from django.core.checks import Error
from django.core.exceptions import ImproperlyConfigured

from ..conf import name_of

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
OF_URL = ("connection_class", "host", "path", "port")
URL_HINT = "Set it to redis://host:port/db, rediss://host:port/db or unix:///path/to/socket."


class Misconfigured(ImproperlyConfigured):
    """What a check reports under *id*, and every use of the backend raises."""

    def __init__(self, id: str, message: str, hint: str) -> None:
        super().__init__(f"{message} {hint}")
        self.check = Error(message, hint=hint, id=f"djust_presence.{id}")


def passed_on(name: str) -> bool:
    """Whether redis-py's connections get this option as it is."""
    return name in PASSED_ON or name.startswith("ssl_")


def of_connection(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if passed_on(name)}


@dataclass(frozen=True, slots=True)
class Options:
    """The options that are the backend's own. Times are in seconds."""

    CACHE: str | None = None
    prefix: str = "djp"
    timeout: float = 5.0
    read_timeout: float = 1.0
    max_connections: int = 16

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Options:
        """Raises ``TypeError`` for what is unknown or of the wrong type."""
        known = [field.name for field in fields(cls)]
        if unknown := [name for name in options if name not in known and not passed_on(name)]:
            raise TypeError(
                f"the redis backend has no option {', '.join(map(repr, unknown))}; "
                f"it takes {', '.join([*known, *PASSED_ON])} and ssl_..."
            )
        own = cls(**{name: value for name, value in options.items() if name in known})
        for name, kind in [("timeout", int | float), ("read_timeout", int | float), ("max_connections", int)]:
            value = getattr(own, name)
            if isinstance(value, bool) or not isinstance(value, kind) or value <= 0:
                raise TypeError(
                    f"the option {name!r} of the redis backend must be a number above 0, not {value!r}"
                )
        if not re.fullmatch(r"[^{}]+", str(own.prefix)):
            raise TypeError(
                f"the option 'prefix' of the redis backend must be text without braces, not {own.prefix!r}"
            )
        return own


def parameters(library: Any, location: str, cache: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a connection of *library* (redis or redis.asyncio), of which one is made to see if they fit.

    Raises ``Misconfigured``.
    """
    url, cached = of_cache(cache) if cache else (location, {})
    try:
        server = library.connection.parse_url(url)
    except ValueError as error:
        message = f"{name_of('LOCATION')} is no Redis URL: {error}"
        raise Misconfigured("E010", message, URL_HINT) from error
    foreign = [name for name in server if name not in OF_URL and not passed_on(name)]
    if foreign and not cache:
        message = f"The URL in {name_of('LOCATION')} must not set {', '.join(map(repr, foreign))}."
        raise Misconfigured("E010", message, URL_HINT)
    for name in foreign:
        del server[name]
    given = {
        "client_name": "djust_presence",
        "protocol": 2,
        **cached,
        **server,
        **of_connection(options),
    }
    arguments = dict(given)
    kind = arguments.pop("connection_class", library.Connection)
    try:
        kind(**arguments)
    except (TypeError, ValueError, library.RedisError) as error:
        raise Misconfigured(
            "E013",
            f"redis-py refuses the options of its connections: {error}",
            f"Look at {name_of('LOCATION')} and at OPTIONS; ssl_... options need a rediss:// URL.",
        ) from error
    return given


def of_cache(alias: str) -> tuple[str, dict[str, Any]]:
    """The URL of the server to which a cache writes, and the options of its connections."""
    try:
        cache = settings.CACHES[alias]
    except KeyError:
        raise Misconfigured(
            "E011",
            f"DJUST_PRESENCE['OPTIONS']['CACHE'] is {alias!r}, and CACHES has no such alias.",
            f"Name one that it has: {', '.join(map(repr, settings.CACHES))}.",
        ) from None
    location, options = cache.get("LOCATION") or "", cache.get("OPTIONS", {})
    servers = re.split("[,;]", location) if isinstance(location, str) else list(location)
    if "SENTINELS" in options or not re.match("(rediss?|unix)://", servers[0]):
        raise Misconfigured(
            "E012",
            f"DJUST_PRESENCE['OPTIONS']['CACHE'] is {alias!r}, a cache whose LOCATION names no Redis server.",
            "Name a cache of django-redis with a redis://, rediss:// or unix:// URL, or set LOCATION instead.",
        )
    given = {
        "username": options.get("USERNAME"),
        "password": options.get("PASSWORD"),
        **options,
        **options.get("CONNECTION_POOL_KWARGS", {}),
    }
    return servers[0], {name: value for name, value in of_connection(given).items() if value is not None}
