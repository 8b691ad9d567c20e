"""Trackers that share a store, as if each were a process of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from django.test import override_settings

from djust_presence.backends.base import Backend
from djust_presence.backends.memory import MemoryBackend
from djust_presence.backends.redis import RedisBackend
from djust_presence.conf import Settings
from djust_presence.tracker import Connection, Event, Session, Tracker
from tests.until import until

QUICK: dict[str, Any] = {
    "lease_ttl": 3.0,
    "grace": 0.3,
    "drain_grace": 1.5,
    "heartbeat_interval": 5.0,
    "timeout": 600.0,
}


class Pages:
    """A host without sockets: remembers what each session was told, and how."""

    def __init__(self) -> None:
        self.hops: list[list[Session]] = []
        self.told: dict[Session, list[str]] = {}
        self.events: list[tuple[Session, str, Any]] = []
        self.pinged: list[Session] = []
        self.notices: list[tuple[Any, ...]] = []
        self.checked: list[Session] = []
        self.closed: list[tuple[Session, int, str]] = []
        self.cursors: dict[Session, list[dict[str, Any]]] = {}
        self.busy: set[Session] = set()
        self.put_off = 0  # how often one of these was to be shown cursors

    async def refresh(self, sessions: Sequence[Session]) -> None:
        self.hops.append(list(sessions))
        for session in sessions:
            for entry in session.take().entries:
                self.told.setdefault(session, []).append(
                    f"event {entry.name}"
                    if isinstance(entry, Event)
                    else f"join {entry.user}"
                    if entry.before is None
                    else f"leave {entry.user}"
                    if entry.after is None
                    else f"update {entry.user}"
                )

    def broadcast(self, sessions: Sequence[Session], event: str, payload: Any) -> None:
        self.events += [(session, event, payload) for session in sessions]

    def encode(self, kind: str, fields: dict[str, Any]) -> str:
        return json.dumps(fields)

    def put(self, sessions: Sequence[Session], text: str) -> list[Session]:
        for session in sessions:
            if session not in self.busy:
                self.cursors.setdefault(session, []).append(json.loads(text))
        busy = [session for session in sessions if session in self.busy]
        self.put_off += len(busy)
        return busy

    def ping(self, connections: Sequence[Connection[Session]]) -> None:
        self.pinged += of_all(connections)

    def close(self, connection: Connection[Session], code: int, reason: str) -> None:
        self.closed += [(session, code, reason) for session in connection.sessions]
        connection.end()

    def notice(self, connections: Sequence[Connection[Session]], kind: str, *rest: Any) -> None:
        self.notices += [(session, kind, *rest) for session in of_all(connections)]

    async def check(self, connections: Sequence[Connection[Session]]) -> None:
        self.checked += of_all(connections)

    def comings(self, session: Session) -> list[str]:
        """The joins and leaves that it was told of."""
        return [one for one in self.told.get(session, []) if not one.startswith("update")]


def of_all(connections: Iterable[Connection[Session]]) -> list[Session]:
    return [session for connection in connections for session in connection.sessions]


def settled(sessions: Iterable[Session]) -> bool:
    """Return whether their pages have heard of all that has happened in their groups."""
    return not any(
        one.stale or one.refreshing or one.pending or (one.audience and one.audience.news) for one in sessions
    )


class Process:
    """One tracker and its pages."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.pages = Pages()

    def session(self) -> Session:
        """Create a session on a connection of its own."""
        return self.tracker.session(self.tracker.connect(self.pages, None), None)

    def open(self, user: str | None, key: str = "room", meta: str = "{}", *, lasting: bool = True) -> Session:
        """A page that tracks *user*, or only watches."""
        session = self.session()
        if user is None:
            session.watch(key)
        else:
            session.track(key, user, meta, lasting)
        session.live()
        return session

    async def shows(self, session: Session, count: int, patience: float = 15) -> None:
        await until(lambda: session.served and session.count() == count, patience)

    async def has_connections(self, session: Session, user: str, count: int) -> None:
        await until(lambda: session.members()[user].connections == count)

    async def is_told(self, session: Session, what: str) -> None:
        await until(lambda: what in self.pages.told.get(session, []))

    def crash(self) -> None:
        """End without a word to store or bus, as kill -9 does."""
        for task in list(self.tracker.clock._tasks):
            task.cancel()
        self.tracker.clock.call = lambda *args, **kwargs: None  # type: ignore[method-assign]


MakeBackend = Callable[[], Backend]
StartProcess = Callable[..., Process]


@pytest.fixture(params=["memory", "redis"])
def make_backend(request: pytest.FixtureRequest) -> MakeBackend:
    """Backends on one store: the same object, or several with connections of their own."""
    if request.param == "memory":
        backend = MemoryBackend()
        return lambda: backend
    url = request.getfixturevalue("valkey_url")
    return lambda: RedisBackend(url)


@asynccontextmanager
async def processes(make_backend: MakeBackend) -> AsyncIterator[StartProcess]:
    """Starts trackers on backends of that kind; afterwards all of them have ended and left no task."""
    started: list[Process] = []

    def start(**timings: Any) -> Process:
        started.append(Process(Tracker(make_backend(), Settings(**{**QUICK, **timings}))))
        return started[-1]

    yield start
    for process in started:
        await process.tracker.aclose()
        assert not process.tracker.clock._tasks


@pytest_asyncio.fixture
async def start(make_backend: MakeBackend, redis_layer: dict[str, Any]) -> AsyncIterator[StartProcess]:
    with override_settings(CHANNEL_LAYERS=redis_layer):
        async with processes(make_backend) as start:
            yield start


@pytest.fixture
def redis_layer(valkey_url: str) -> dict[str, Any]:
    return {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [valkey_url], "prefix": valkey_url.rpartition("/")[2]},
        }
    }
