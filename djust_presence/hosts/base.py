"""The base class of hosts, which own connections of one kind and carry out presence's requests for their sessions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..tracker import Connection, Session

__all__ = ["Host"]


class Host:
    """A host that does nothing. Override the methods that yours supports; only :meth:`refresh` and :meth:`check` may wait.

    All methods are called on the loop. A host makes a connection with ``get_tracker().connect(host, owner)`` and its
    sessions with ``get_tracker().session(connection, owner)``; each *owner* is an object of the host's own.
    """

    async def refresh(self, sessions: Sequence[Session]) -> None:
        """Give each session's view the news of ``session.take()``, and render it. Never raises.

        A host that ignores news must take them too: otherwise they are kept for ever.
        """
        for session in sessions:
            session.take()

    def broadcast(self, sessions: Sequence[Session], event: str, payload: Any) -> None:
        """Send a broadcast to the browsers of *sessions*."""

    def encode(self, kind: str, fields: dict[str, Any]) -> str:
        """Return the text of a frame, for :meth:`put`."""
        return json.dumps({"type": kind, **fields}, separators=(",", ":"))

    def put(self, sessions: Sequence[Session], text: str) -> list[Session]:
        """Send *text* to the browsers of *sessions*, but return those that are still being sent to."""
        return []

    def ping(self, connections: Sequence[Connection[Session]]) -> None:
        """Ask browsers for a sign of life, after which the host calls ``connection.heard()``."""

    def close(self, connection: Connection[Session], code: int, reason: str) -> None:
        """Close the connection, which was silent for TIMEOUT seconds. At least, end it."""
        connection.end()

    def notice(self, connections: Sequence[Connection[Session]], kind: str, *rest: Any) -> None:
        """Receive a notice of some process to all others, which is not about a group.

        Unknown kinds are ignored: another version of the package may run elsewhere.
        """

    async def check(self, connections: Sequence[Connection[Session]]) -> None:
        """Close the connections of users whose access has ended, every REAUTH_INTERVAL. Never raises."""
