"""Presence in Redis or Valkey, for sites of several processes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, TypeVar, cast

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured

from ..errors import PresenceUnavailable
from .base import Backend
from .scripts import Request, Scripts

try:
    import redis
    import redis.asyncio
    from redis.backoff import NoBackoff
except ModuleNotFoundError as error:
    if error.name != "redis":
        raise
    raise ImproperlyConfigured(
        "The presence backend 'redis' needs the redis package: pip install djust-presence[redis]"
    ) from error

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C")

OWN = {"CACHE": None, "prefix": "djp", "timeout": 5.0, "read_timeout": 1.0, "max_connections": 16}
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


def passed_on(name: str) -> bool:
    """Whether redis-py's connections get this option as it is."""
    return name in PASSED_ON or name.startswith("ssl_")


class Misconfigured(ImproperlyConfigured):
    """What a check reports under *id*, and every use of the backend raises."""

    def __init__(self, id: str, message: str, hint: str) -> None:
        super().__init__(f"{message} {hint}")
        self.check = Error(message, hint=hint, id=f"djust_presence.{id}")


class Clients(NamedTuple, Generic[C]):
    """Who writes, and who reads, with less patience."""

    writer: C
    reader: C


@dataclass(eq=False, frozen=True, slots=True)
class Here:
    """What belongs to a loop. *closing* is waiting for the end: a loop closes its generators when it shuts down."""

    loop: asyncio.AbstractEventLoop
    clients: Clients[redis.asyncio.Redis]
    closing: AsyncGenerator[None]


# Loops keep their generators weakly, and a forked child must not even collect what its parent has open: the
# selector behind it is still shared.
_open: set[Here] = set()


@contextmanager
def unavailable() -> Iterator[None]:
    """Say of whatever goes wrong on the way to the server and back that presence is unavailable."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise PresenceUnavailable(f"Redis: {str(error) or type(error).__name__}") from error


def twins(
    build: Callable[Concatenate[Scripts, P], Request[T]],
) -> tuple[
    Callable[Concatenate[RedisBackend, P], T],
    Callable[Concatenate[RedisBackend, P], Coroutine[Any, Any, T]],
]:
    """A verb for a thread and for a loop: both send the same request."""

    def verb(self: RedisBackend, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(build(self._scripts, *args, **kwargs))

    async def averb(self: RedisBackend, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._arun(build(self._scripts, *args, **kwargs))

    return verb, averb


class RedisBackend(Backend):
    """The Lua scripts beside this module, run by Redis 6.2 or newer, or by Valkey.

    *location* is a ``redis://``, ``rediss://`` or ``unix://`` URL. The options:

    - ``CACHE``: the alias of a Redis cache in ``CACHES``, whose server is used instead of *location*;
    - ``prefix``: what all keys begin with (``djp``);
    - ``timeout`` (5.0) and, for what only reads, ``read_timeout`` (1.0): seconds to wait for the server, and as long
      for a connection when all are in use;
    - ``max_connections`` (16): for a process, for each of its loops, and for reads and writes each;
    - ``username``, ``password``, ``db``, ``client_name``, ``protocol``, ``health_check_interval``,
      ``credential_provider``, ``socket_keepalive``, ``socket_keepalive_options`` and ``ssl_...``, as redis-py takes
      them.

    Nothing is tried twice here: whoever writes repeats what was not answered.
    """

    def __init__(self, location: str, options: Mapping[str, Any] = {}) -> None:
        super().__init__(location, options)
        if unknown := [name for name in options if name not in OWN and not passed_on(name)]:
            raise TypeError(
                f"the redis backend has no option {', '.join(map(repr, unknown))}; "
                f"it takes {', '.join([*OWN, *PASSED_ON])} and ssl_..."
            )
        own = {name: options.get(name, default) for name, default in OWN.items()}
        for name in ("timeout", "read_timeout", "max_connections"):
            kind = int if name == "max_connections" else int | float
            if isinstance(own[name], bool) or not isinstance(own[name], kind) or own[name] <= 0:
                raise TypeError(
                    f"the option {name!r} of the redis backend must be a number above 0, not {own[name]!r}"
                )
        if not isinstance(own["prefix"], str) or not re.fullmatch(r"[^{}]+", own["prefix"]):
            raise TypeError(
                f"the option 'prefix' of the redis backend must be text without braces, not {own['prefix']!r}"
            )
        self._location = location
        self._own = own
        self._connection = {name: value for name, value in options.items() if passed_on(name)}
        self._scripts = Scripts(own["prefix"])
        self._threads: Clients[redis.Redis] | None = None
        self._loops: dict[asyncio.AbstractEventLoop, Here] = {}

    # Configuration

    def check(self) -> list[CheckMessage]:
        try:
            self._parameters(redis)
        except Misconfigured as error:
            return [error.check]
        return []

    def _parameters(self, library: ModuleType) -> dict[str, Any]:
        """The arguments of *library*'s connections, of which one is made to see if they fit."""
        cache = self._own["CACHE"]
        url, cached = from_cache(cache) if cache else (self._location, {})
        hint = "Set it to redis://host:port/db, rediss://host:port/db or unix:///path/to/socket."
        try:
            server = library.connection.parse_url(url)
        except ValueError as error:
            raise Misconfigured(
                "E010", f"DJUST_PRESENCE['LOCATION'] is no Redis URL: {error}", hint
            ) from error
        if foreign := [name for name in server if name not in OF_URL and not passed_on(name)]:
            if not cache:
                names = ", ".join(map(repr, foreign))
                raise Misconfigured(
                    "E010", f"The URL in DJUST_PRESENCE['LOCATION'] must not set {names}.", hint
                )
            server = {name: value for name, value in server.items() if name not in foreign}
        parameters = {"client_name": "djust_presence", "protocol": 2, **cached, **server, **self._connection}
        kind = parameters.get("connection_class", library.Connection)
        try:
            kind(**{name: value for name, value in parameters.items() if name != "connection_class"})
        except (TypeError, ValueError, redis.RedisError) as error:
            raise Misconfigured(
                "E013",
                f"redis-py refuses the connection options of DJUST_PRESENCE: {error}",
                "Look at LOCATION and OPTIONS; ssl_... options need a rediss:// URL.",
            ) from error
        return parameters

    def _clients(self, library: Any) -> Clients[Any]:
        """Clients out of *library*, redis or redis.asyncio, with everything said that its versions differ in."""
        parameters = self._parameters(library)

        def client(timeout: float) -> Any:
            pool = library.BlockingConnectionPool(
                **{
                    **parameters,
                    "max_connections": self._own["max_connections"],
                    "timeout": timeout,
                    "socket_timeout": timeout,
                    "socket_connect_timeout": timeout,
                    "encoding": "utf-8",
                    "encoding_errors": "strict",
                    "decode_responses": True,
                    "retry": library.retry.Retry(NoBackoff(), 0),
                    "retry_on_timeout": False,
                    "retry_on_error": [],
                }
            )
            return library.Redis(connection_pool=pool)

        return Clients(client(self._own["timeout"]), client(self._own["read_timeout"]))

    # Threads

    def close(self) -> None:
        clients, self._threads = self._threads, None
        for client in clients or ():
            client.connection_pool.disconnect()

    def _run(self, request: Request[T]) -> T:
        if self._threads is None:
            self._threads = self._clients(redis)
        client = self._threads.reader if request.reading else self._threads.writer
        talk = request.talk(redis.exceptions.NoScriptError)
        with unavailable():
            commands = next(talk)
            while True:
                with client.pipeline(transaction=False) as pipe:
                    for command in commands:
                        pipe.execute_command(*command)
                    replies = pipe.execute(raise_on_error=False)
                try:
                    commands = talk.send(replies)
                except StopIteration as done:
                    return cast(T, done.value)

    # Loops

    async def aclose(self) -> None:
        if here := self._loops.get(asyncio.get_running_loop()):
            await here.closing.aclose()

    async def _here(self) -> Here:
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            for here in [here for here in list(_open) if here.loop.is_closed()]:
                _open.discard(here)
            for ended in [loop for loop in list(self._loops) if loop.is_closed()]:
                self._loops.pop(ended, None)
            clients = self._clients(redis.asyncio)
            self._loops[loop] = here = Here(loop, clients, self._until_closed(loop))
            _open.add(here)
            await anext(here.closing)
        return self._loops[loop]

    async def _until_closed(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            here = self._loops.pop(loop)
            _open.discard(here)
            for client in here.clients:
                await client.aclose(close_connection_pool=True)

    async def _arun(self, request: Request[T]) -> T:
        clients = (await self._here()).clients
        client = clients.reader if request.reading else clients.writer
        talk = request.talk(redis.exceptions.NoScriptError)
        with unavailable():
            commands = next(talk)
            while True:
                async with client.pipeline(transaction=False) as pipe:
                    for command in commands:
                        pipe.execute_command(*command)
                    replies = await pipe.execute(raise_on_error=False)
                try:
                    commands = talk.send(replies)
                except StopIteration as done:
                    return cast(T, done.value)

    # The verbs

    open, aopen = twins(Scripts.open)
    renew, arenew = twins(Scripts.renew)
    drain, adrain = twins(Scripts.drain)
    claim, aclaim = twins(Scripts.claim)
    reap, areap = twins(Scripts.reap)
    write, awrite = twins(Scripts.write)
    beat, abeat = twins(Scripts.beat)
    release, arelease = twins(Scripts.release)
    snapshots, asnapshots = twins(Scripts.snapshots)
    count, acount = twins(Scripts.count)
    member, amember = twins(Scripts.member)


def from_cache(alias: str) -> tuple[str, dict[str, Any]]:
    """The URL of the server behind a cache that writes to Redis, and the options of its connections."""
    try:
        cache = settings.CACHES[alias]
    except KeyError:
        raise Misconfigured(
            "E011",
            f"DJUST_PRESENCE['OPTIONS']['CACHE'] is {alias!r}, and CACHES has no such alias.",
            f"It has {', '.join(map(repr, settings.CACHES))}.",
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
    return servers[0], {name: value for name, value in given.items() if value is not None and passed_on(name)}
