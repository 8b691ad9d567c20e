"""The host of sockets: broadcasts, heartbeats, and the end of access."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any

from ..codes import CloseCode
from ..tracker import SESSIONS_PER_HOP, Connection, Session, chunks
from .access import current_users
from .base import Host
from .checks import Failures
from .lanes import lanes
from .log_ins import ENDED
from .outgoing import PING, encode
from .parts import offered
from .socket import Socket

__all__ = ["SocketHost"]


class SocketHost(Host):
    """Owns connections whose owner is a :class:`Socket`."""

    def __init__(self) -> None:
        self._failures = Failures("pages")

    def broadcast(self, sessions: Sequence[Session], event: str, payload: Any) -> None:
        frame = encode("event", event=event, payload=payload)
        for session in sessions:
            _socket(session.connection).put(frame)

    def encode(self, kind: str, fields: dict[str, Any]) -> str:
        return encode(kind, **fields)

    def put(self, sessions: Sequence[Session], text: str) -> list[Session]:
        return [session for session in sessions if not session.connection.owner.put_if_idle(text)]

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
        """Close the sockets of users who are logged out, deactivated or gone; refresh the users of the others."""
        sockets = [socket for socket in map(_socket, connections) if socket.behind]
        staying = [socket for socket in sockets if self.is_alone(socket)]
        together = {
            socket: socket.behind for socket in sockets if socket.behind and not self.is_alone(socket)
        }
        visitors = {behind.visitor for behind in together.values()}
        access = await lanes.run(partial(current_users, visitors))
        for some in chunks(list(together.items()), SESSIONS_PER_HOP):
            for socket, behind in some:
                if error := access.errors.get(behind.visitor):
                    self.check_failed(socket, error)
                elif behind.visitor not in access.users:
                    socket.expel(CloseCode.LOG_IN, "reload")
                else:
                    try:
                        if (user := access.users[behind.visitor]) is not None:
                            socket.user_is(user)
                    except Exception as error:  # of the user's own class
                        self.check_failed(socket, error)
                    else:
                        staying.append(socket)
            await asyncio.sleep(0)
        await self.check_more(staying)
        for kind in offered():
            await kind.check([part for socket in staying for part in socket.parts if isinstance(part, kind)])

    def is_alone(self, socket: Socket) -> bool:
        """Return whether the visitor is not to be checked together with others, but by :meth:`check_more`."""
        return False

    async def check_more(self, sockets: Sequence[Socket]) -> None:
        """Close *sockets* if their views say so: their visitors are logged in as before, or have yet to be checked."""
        for socket in sockets:
            self.check_worked(socket)

    def check_worked(self, socket: Socket) -> None:
        if not socket.over:
            self._failures.worked(socket, _kind(socket))

    def check_failed(self, socket: Socket, error: Exception) -> None:
        """Nobody knows whether the visitor may stay."""
        if not socket.over and self._failures.failed(socket, _kind(socket), f"at {socket.path!r}", error):
            socket.close(CloseCode.RETRY, "unchecked")


def _kind(socket: Socket) -> Hashable:
    """Return what the check of *socket* depends on besides its visitor."""
    if socket.behind is None:
        return None
    visitor = socket.behind.visitor
    return visitor.store, visitor.backend


def _socket(connection: Connection[Session]) -> Socket:
    socket: Socket = connection.owner
    return socket
