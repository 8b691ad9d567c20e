"""A connection of a page to this process, and the host that it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from .clock import Clock
from .endings import Ending

__all__ = ["Connection", "Host", "by_host"]

S = TypeVar("S")


class Host(Protocol[S]):
    """The owner of connections of one kind: it runs user code for their sessions, renders, and has the sockets."""

    async def refresh(self, sessions: Sequence[S]) -> None:
        """Give each session's view the news of ``session.take()`` and render it; one hop for all. Never raises."""

    def broadcast(self, sessions: Sequence[S], event: str, payload: Any) -> None:
        """Send a broadcast to their browsers. Never waits."""

    def encode(self, kind: str, fields: dict[str, Any]) -> str:
        """Return the text of a frame, for :meth:`put`."""

    def put(self, sessions: Sequence[S], text: str) -> list[S]:
        """Send *text* to their browsers, but return the sessions that are still being sent to. Never waits."""

    def ping(self, connections: Sequence[Connection[S]]) -> None:
        """Ask their browsers for a sign of life. Never waits."""

    def close(self, connection: Connection[S], code: int, reason: str) -> None:
        """Close its socket."""

    def notice(self, connections: Sequence[Connection[S]], kind: str, *rest: Any) -> None:
        """Receive a notice of some process to all others, which is not about a group. Never waits.

        Unknown kinds are ignored: another version of the package may run elsewhere.
        """

    async def check(self, connections: Sequence[Connection[S]]) -> None:
        """Every REAUTH_INTERVAL: close the sockets of users whose access has ended. Never raises."""


class ConnectionOwner(Protocol[S]):
    """The process of a connection. Called on the loop."""

    def session(self, connection: Connection[S], owner: Any) -> S:
        """Create a session of *connection*."""

    def connected(self, connection: Connection[S]) -> None:
        """Look after *connection*, which is open."""

    def disconnected(self, connection: Connection[S], ending: Ending) -> asyncio.Task[None] | None:
        """Forget *connection* and its sessions, which have ended; return the task of a clean stop if this begins one."""


class Connection(Generic[S]):
    """One connection; *owner* is the host's own object for it. It may have several sessions, or none."""

    __slots__ = ("_clock", "_process", "heard_at", "host", "open", "over", "owner", "pinged_at", "sessions")

    def __init__(self, process: ConnectionOwner[S], clock: Clock, host: Host[S], owner: Any) -> None:
        self._process = process
        self._clock = clock
        self.over = False
        self.host = host
        self.owner = owner
        self.sessions: dict[S, None] = {}  # the live ones
        self.open = False
        self.heard_at = self.pinged_at = clock.now

    def begin(self) -> None:
        """Let the process look after it, as it is open."""
        if not self.open and not self.over:
            self.open = True
            self.heard()
            self.pinged()
            self._process.connected(self)

    def session(self, owner: Any) -> S:
        """Create a session, of which *owner* is the host's own object. It has no effect until ``Session.live()``."""
        return self._process.session(self, owner)

    def heard(self) -> None:
        """Note a sign of life from the browser."""
        self.heard_at = self._clock.now

    def pinged(self) -> None:
        """Note that the browser has been asked for a sign of life."""
        self.pinged_at = self._clock.now

    def end(self, ending: Ending = Ending.CLOSED) -> asyncio.Task[None] | None:
        """End it and all its sessions. After a RESTART its page is expected back on another process.

        If a clean stop of the process begins with this, return its task, which may be awaited.
        """
        was_open, self.open, self.over = self.open, False, True
        return self._process.disconnected(self, ending) if was_open else None


class Hosted(Protocol):
    @property
    def host(self) -> Any: ...


H = TypeVar("H", bound=Hosted)


def by_host(items: Iterable[H]) -> dict[Any, list[H]]:
    """Return sessions or connections by host, for one call each."""
    sorted_out: dict[Any, list[H]] = {}
    for item in items:
        sorted_out.setdefault(item.host, []).append(item)
    return sorted_out
