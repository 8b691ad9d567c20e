"""The host of sockets: broadcasts, heartbeats, and the end of access."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ..codes import CloseCode
from ..outages import Outage
from ..tracker import Connection, Session
from .access import ENDED, current_users
from .base import Host
from .lanes import lanes
from .outgoing import PING, encode
from .socket import Socket

__all__ = ["SocketHost"]

logger = logging.getLogger("djust_presence")


class SocketHost(Host):
    """Owns connections whose owner is a :class:`Socket`."""

    def __init__(self) -> None:
        self._checks = Outage(failures=1, seconds=0)  # the traceback may be of the project's own code

    def broadcast(self, sessions: Sequence[Session], event: str, payload: Any) -> None:
        frame = encode("event", event=event, payload=payload)
        for session in sessions:
            _socket(session.connection).put(frame)

    def encode(self, kind: str, fields: dict[str, Any]) -> str:
        return encode(kind, **fields)

    def put(self, sessions: Sequence[Session], text: str) -> list[Session]:
        busy = []
        for session in sessions:
            socket = _socket(session.connection)
            if socket.idle:
                socket.put(text)
            else:
                busy.append(session)
        return busy

    def ping(self, connections: Sequence[Connection[Session]]) -> None:
        for connection in connections:
            _socket(connection).put(PING)

    def close(self, connection: Connection[Session], code: int, reason: str) -> None:
        _socket(connection).close(code, reason)

    def notice(self, connections: Sequence[Connection[Session]], kind: str, *rest: Any) -> None:
        """Close the sockets of a Django session that has ended; ignore other notices, and malformed ones."""
        match [kind, *rest]:
            case [str(kind), str(ended)] if kind == ENDED:  # pages without a session all have the mark None
                for socket in map(_socket, connections):
                    if socket.behind and socket.behind.visitor.mark == ended:
                        socket.expel(CloseCode.LOG_IN, "reload")

    async def check(self, connections: Sequence[Connection[Session]]) -> None:
        """Close the sockets of users who are logged out, deactivated or gone; give the others their user anew."""
        sockets = {
            socket: socket.behind.visitor for socket in map(_socket, connections) if socket.behind is not None
        }
        try:
            users = await lanes.run(lambda: current_users(set(sockets.values())))
        except Exception:
            if self._checks.failed():
                logger.exception(
                    "Could not re-check access to open pages; they stay open until the check works again."
                )
            return
        if self._checks.worked():
            logger.warning("Access to open pages is checked again.")
        still_there = []
        for socket, visitor in sockets.items():
            if visitor not in users:
                socket.expel(CloseCode.LOG_IN, "reload")
            elif socket.behind is not None:
                if (user := users[visitor]) is not None:
                    socket.behind.user_is(user)
                still_there.append(socket)
        await self.check_more(still_there)

    async def check_more(self, sockets: Sequence[Socket]) -> None:
        """Close *sockets*, the visitors of which are logged in as before, if their views say so."""


def _socket(connection: Connection[Session]) -> Socket:
    socket: Socket = connection.owner
    return socket
