"""The Redis server that the settings name, and the arguments of connections to it, without any I/O.

No message quotes any part of a URL: where a password is not percent-encoded, each part may hold some of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache.backends.redis import RedisCache
from django.utils.module_loading import import_string

from ...conf import name_of
from ...errors import Misconfigured
from .options import of_connection, passed_on

__all__ = ["parameters"]

SCHEMES = ("redis://", "rediss://", "unix://")
OF_URL = ("connection_class", "host", "path", "port")
URL_HINT = "Set it to redis://host:port/db, rediss://host:port/db or unix:///path/to/socket."
QUOTE_HINT = (
    "Percent-encode special characters in user and password, for example with "
    "urllib.parse.quote(password, safe='')."
)


class ServerURL(NamedTuple):
    """A server's URL, the setting that it comes from, and options of connections that are set beside it."""

    url: str
    setting: str
    options: Mapping[str, Any] = {}


def parameters(library: Any, location: str, cache: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a connection of *library* (redis or redis.asyncio); one is made to see if they fit.

    Raises ``Misconfigured``.
    """
    place = ServerURL(location, name_of("LOCATION")) if cache is None else of_cache(cache)
    server = read(library, place)
    foreign = [name for name in server if name not in OF_URL and not passed_on(name)]
    if foreign and cache is None:
        message = f"The URL in {place.setting} must not set {', '.join(map(repr, foreign))}."
        raise Misconfigured("E010", message, URL_HINT)
    for name in foreign:
        del server[name]
    given = {
        "client_name": "djust_presence",
        "protocol": 2,
        **place.options,
        **server,
        **of_connection(options),
    }
    arguments = dict(given)
    kind = arguments.pop("connection_class", library.Connection)
    try:
        kind(**arguments)
    except (TypeError, ValueError, library.RedisError) as error:
        beside = "" if cache is None else f" and the OPTIONS of CACHES[{cache!r}]"
        raise Misconfigured(
            "E013",
            f"redis-py refuses the options of its connections: {error}",
            f"Look at {place.setting}{beside} and at DJUST_PRESENCE['OPTIONS']; ssl_... options need a rediss:// URL.",
        ) from error
    return given


def read(library: Any, place: ServerURL) -> dict[str, Any]:
    """Return the arguments of a connection in a URL, as redis-py reads it. Raises ``Misconfigured``."""
    if not place.url.startswith(SCHEMES):
        message = f"{place.setting} is not a Redis URL: it does not begin with {', '.join(SCHEMES)}."
        raise Misconfigured("E010", message, URL_HINT)
    if is_cut(place.url):
        message = f"{place.setting} has a special character in its user or password that ends them early."
        raise Misconfigured("E010", message, QUOTE_HINT)
    found: dict[str, Any] | None = None
    try:
        found = library.connection.parse_url(place.url)
    except ValueError as error:
        # Of redis-py's messages only this one is safe to show: others quote the URL, even as the cause of an exception.
        known = re.fullmatch(r"Invalid value for '\w+' in connection URL\.", str(error))
        fault = known[0] if known else "Its user, password, host or port cannot be read."
    if found is None:
        raise Misconfigured(
            "E010", f"{place.setting} is not a Redis URL. {fault}", f"{URL_HINT} {QUOTE_HINT}"
        )
    return found


def is_cut(url: str) -> bool:
    """Return whether an ``@``, which ends user and password, stands behind the place where they end for Python.

    Then a character such as ``/``, ``?`` or ``#`` in the password begins the next part of the URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket, or a character that Unicode makes equal to one that ends a part
        return True
    host = parts.netloc.rpartition("@")[2]
    in_path = "@" in parts.path and (host or parts.scheme != "unix")
    in_query = [one for one in parts.query.split("&") if "@" in one and not passed_on(one.partition("=")[0])]
    return bool(in_path or in_query or "#" in url)


def of_cache(alias: str) -> ServerURL:
    """Return the server to which a cache writes, and its options, both as the cache reads them. Raises ``Misconfigured``."""
    option = "DJUST_PRESENCE['OPTIONS']['CACHE']"
    try:
        cache = settings.CACHES[alias]
    except KeyError:
        raise Misconfigured(
            "E011",
            f"{option} is {alias!r}, and CACHES has no such alias.",
            f"Name one that it has: {', '.join(map(repr, settings.CACHES))}.",
        ) from None
    try:
        kind = import_string(cache["BACKEND"])
    except ImportError as error:
        raise Misconfigured(
            "E012",
            f"{option} is {alias!r}, a cache whose BACKEND cannot be imported: {error}",
            "Install what the import asks for, or set LOCATION instead.",
        ) from error
    ours = isinstance(kind, type) and issubclass(
        kind, RedisCache
    )  # Django's own; others are like django-redis
    location, options = cache.get("LOCATION"), cache.get("OPTIONS") or {}
    if isinstance(location, str):
        urls = re.split("[;,]", location) if ours else location.split(",")
    else:
        urls = list(location or ())
    are_urls = [isinstance(url, str) and url.startswith(SCHEMES) for url in urls]
    if "SENTINELS" in options or not (are_urls and are_urls[0]):
        raise Misconfigured(
            "E012",
            f"{option} is {alias!r}, a cache whose LOCATION names no Redis server.",
            "Name a Redis cache with a redis://, rediss:// or unix:// URL, or set LOCATION instead.",
        )
    setting = f"CACHES[{alias!r}]['LOCATION']"
    if not all(are_urls):
        message = f"{setting} is split at {'; and ,' if ours else ','} and not every part is a Redis URL."
        raise Misconfigured("E010", message, QUOTE_HINT)
    return ServerURL(urls[0], setting, of_connection(options if ours else of_django_redis(options)))


def of_django_redis(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what django_redis.pool.ConnectionFactory passes to its pool: an empty USERNAME or PASSWORD is none."""
    own = {name.lower(): options[name] for name in ("USERNAME", "PASSWORD") if options.get(name)}
    given = own | dict(options.get("CONNECTION_POOL_KWARGS") or {})
    if given.get("password") is None and "password" in own:
        given["password"] = own["password"]
    return given
