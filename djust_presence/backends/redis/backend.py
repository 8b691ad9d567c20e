"""The Redis backend: the Lua scripts, run by threads and by loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, TypeVar, cast

from django.core.checks import CheckMessage

from ...conf import get_settings
from ...errors import Misconfigured, PresenceUnavailable
from ...state.records import SCHEMA
from ..base import Backend
from .errors import meaning
from .options import Options
from .scripts import Request, Scripts
from .servers import parameters

try:
    import redis
    import redis.asyncio
    from redis.backoff import NoBackoff
except ModuleNotFoundError as error:
    if error.name != "redis":
        raise
    raise Misconfigured(
        "E002",
        "The presence backend 'redis' needs the redis package.",
        "Install what the extra djust-presence[redis] names: pip install 'redis[hiredis]>=5.2' 'channels-redis>=4.3'",
    ) from error

__all__ = ["RedisBackend"]

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C")


class Clients(NamedTuple, Generic[C]):
    """The client for writes, and the one for reads, which waits less long."""

    writer: C
    reader: C


@dataclass(eq=False, frozen=True, slots=True)
class LoopClients:
    """The clients of one loop. *closing* waits for the loop's end: a loop closes its generators when it shuts down."""

    loop: asyncio.AbstractEventLoop
    clients: Clients[redis.asyncio.Redis]
    closing: AsyncGenerator[None]


# Loops hold generators weakly, and a forked child must not garbage-collect the parent's open connections: the
# selector behind them is still shared.
_open: set[LoopClients] = set()


@contextmanager
def unavailable(server: str) -> Iterator[None]:
    """Raise ``PresenceUnavailable`` for whatever goes wrong on the way to *server* and back."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise PresenceUnavailable(f"Redis at {server}: {meaning(error)}") from error
    except AttributeError as error:
        # The error of asyncio in Python 3.13 for a write to a connection that has just been lost.
        if "_add_writer" not in str(error):
            raise
        raise PresenceUnavailable(f"Redis at {server}: connection lost") from error


def address_of(server: Mapping[str, Any]) -> str:
    """Return the address in *server*, the arguments of a connection, for messages: without user and password."""
    host, port = server.get("host", "localhost"), server.get("port", 6379)
    place = server.get("path") or (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    return f"{place}/{server.get('db') or 0}"


@contextmanager
def cancellable() -> Iterator[None]:
    """Raise a cancellation that was swallowed in this block.

    Before Python 3.12 ``asyncio.wait_for``, with which redis-py sends, swallows one that comes along with its result.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


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
    - ``prefix``: the beginning of all keys (``djp``);
    - ``timeout`` (LEASE_TTL / 12, at most 5) and, for reads, ``read_timeout`` (the same, at most 1): seconds
      to wait for the server, and as long for a connection when all are in use;
    - ``max_connections`` (16): for a process, for each of its loops, and for reads and writes each;
    - ``username``, ``password``, ``db``, ``client_name``, ``protocol``, ``health_check_interval``,
      ``credential_provider``, ``socket_keepalive``, ``socket_keepalive_options`` and ``ssl_...``, as redis-py takes
      them.

    Nothing is tried twice here: the tracker's writer repeats calls that were not answered.
    """

    def __init__(self, location: str, options: Mapping[str, Any] = {}) -> None:
        super().__init__(location, options)
        self._location = location
        self._options = options
        self._own = Options.of(options)
        self._scripts = Scripts(self._own.prefix)
        self._server = ""  # known with the first clients
        self._threads: Clients[redis.Redis] | None = None
        self._loops: dict[asyncio.AbstractEventLoop, LoopClients] = {}

    # Configuration

    def check(self) -> list[CheckMessage]:
        try:
            self._parameters(redis)
        except Misconfigured as error:
            return [error.check]
        return [*self._own.check(get_settings())]

    @cached_property
    def namespace(self) -> str:
        return f"{self._own.prefix}:{SCHEMA}:{self._parameters(redis).get('db') or 0}"

    def _parameters(self, library: Any) -> dict[str, Any]:
        return parameters(library, self._location, self._own.CACHE, self._options)

    def _clients(self, library: Any) -> Clients[Any]:
        """Clients out of *library*, redis or redis.asyncio, with every option set in which its versions differ."""
        common = self._parameters(library)
        self._server = address_of(common)

        def client(timeout: float) -> Any:
            pool = library.BlockingConnectionPool(
                **{
                    **common,
                    "max_connections": self._own.max_connections,
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

        return Clients(*map(client, self._own.timeouts(get_settings())))

    # Threads

    def close(self) -> None:
        clients, self._threads = self._threads, None
        for client in clients or ():
            client.connection_pool.disconnect()

    def _run(self, request: Request[T]) -> T:
        clients = self._threads
        if clients is None:
            clients = self._threads = self._clients(redis)
        client = clients.reader if request.reading else clients.writer
        talk = request.talk(redis.exceptions.NoScriptError)
        with unavailable(self._server):
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

    async def _here(self) -> LoopClients:
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            for here in [here for here in list(_open) if here.loop.is_closed()]:
                _open.discard(here)
            for ended in [loop for loop in list(self._loops) if loop.is_closed()]:
                self._loops.pop(ended, None)
            clients = self._clients(redis.asyncio)
            self._loops[loop] = here = LoopClients(loop, clients, self._until_closed(loop))
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
        with cancellable(), unavailable(self._server):
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
    open_and_write, aopen_and_write = twins(Scripts.open_and_write)
    beat, abeat = twins(Scripts.beat)
    release, arelease = twins(Scripts.release)
    snapshots, asnapshots = twins(Scripts.snapshots)
    page, apage = twins(Scripts.page)
    counts, acounts = twins(Scripts.counts)
    members, amembers = twins(Scripts.members)
    count_and_member, acount_and_member = twins(Scripts.count_and_member)
