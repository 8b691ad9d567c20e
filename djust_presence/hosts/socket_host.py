"""The host of sockets: broadcasts, heartbeats, and the end of access."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any

from ..codes import CloseCode
from ..tracker import SESSIONS_PER_HOP, Connection, Session, chunks
from .access import Access, Visitor, current_users
from .access_failures import Failures
from .base import Host
from .log_ins import ENDED
from .outgoing import PING, encode
from .parts import offered
from .request import Behind
from .socket import Socket
from .surroundings import Surroundings
from .workers import workers

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
        """Close the sockets of users who are logged out, deactivated or deleted; refresh the users of the others."""
        sockets = [socket for socket in map(_socket, connections) if socket.behind]
        staying = [socket for socket in sockets if self.has_turns(socket)]
        asked = [
            (socket, socket.behind) for socket in sockets if socket.behind and not self.has_turns(socket)
        ]
        found = await workers.run(partial(_access, [behind for _, behind in asked]))
        for some in chunks([*zip(asked, found, strict=True)], SESSIONS_PER_HOP):
            for (socket, behind), access in some:
                if error := access.errors.get(behind.visitor):
                    self.check_failed(socket, error)
                elif behind.visitor not in access.users:
                    socket.expel(CloseCode.LOG_IN, "reload")
                else:
                    try:
                        if (user := access.users[behind.visitor]) is not None:
                            socket.user_is(user)
                    except Exception as error:  # raised by the user's own class
                        self.check_failed(socket, error)
                    else:
                        staying.append(socket)
            await asyncio.sleep(0)
        await self.check_more(staying)
        await self.check_parts([socket for socket in staying if not self.has_turns(socket)])

    async def check_parts(self, sockets: Sequence[Socket]) -> None:
        """Check access to the content of the parts of *sockets*, after that of their visitors."""
        for kind in offered():
            await kind.check([part for socket in sockets for part in socket.parts if isinstance(part, kind)])

    def has_turns(self, socket: Socket) -> bool:
        """Return whether :meth:`check_more` checks the visitor, in a turn of the view, and after that the parts."""
        return False

    async def check_more(self, sockets: Sequence[Socket]) -> None:
        """Close those of *sockets* whose views refuse. Their visitors are logged in as before, or not checked yet."""
        for socket in sockets:
            self.check_worked(socket)

    def check_worked(self, socket: Socket) -> None:
        if not socket.over:
            self._failures.worked(socket, _kind(socket))

    def check_failed(self, socket: Socket, error: Exception) -> None:
        """Count a check that failed, and close the socket after too many."""
        if not socket.over and self._failures.failed(socket, _kind(socket), f"at {socket.path!r}", error):
            socket.close(CloseCode.RETRY, "unchecked")


def _access(pages: Sequence[Behind]) -> list[Access]:
    """Check the visitors of *pages*: each in the surroundings of its page if it has some, else all together."""
    together = current_users({page.visitor for page in pages if not page.surroundings})
    return [
        _access_within(page.surroundings, page.visitor) if page.surroundings else together for page in pages
    ]


def _access_within(surroundings: Surroundings, visitor: Visitor) -> Access:
    try:
        with surroundings():
            return current_users({visitor})
    except Exception as error:
        return Access({}, {visitor: error})


def _kind(socket: Socket) -> Hashable:
    """Return the kind of check of *socket*: all that it depends on besides the visitor."""
    if socket.behind is None:
        return None
    visitor = socket.behind.visitor
    return visitor.store, visitor.backend


def _socket(connection: Connection[Session]) -> Socket:
    socket: Socket = connection.owner
    return socket
