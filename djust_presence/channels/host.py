"""The host of consumers: their callbacks, and the end of access."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from ..codes import CloseCode
from ..hosts import Host
from ..hosts.access import ENDED, Visitor, current_users
from ..hosts.lanes import lanes
from ..hosts.sessions import mark
from ..identity import is_logged_in
from ..outages import Outage
from ..tracker import Connection, Session

__all__ = ["ConsumerHost", "consumer_host"]

logger = logging.getLogger("djust_presence")

PATIENCE = 0.1  # seconds that other consumers wait for one that is slow


class Owner(Protocol):
    """The presence of a consumer, which owns its connection and sessions."""

    consumer: Any

    def take_in(self, session: Session) -> asyncio.Task[None] | None:
        """Have the consumer told the news of *session*; return the task that is at it, if any."""

    def check(self, user: Any) -> None:
        """Ask the consumer whether *user* may stay, if it has a say in that. Never waits."""

    def close(self, code: CloseCode) -> None:
        """Close the socket, and end all sessions. Never waits."""


class ConsumerHost(Host):
    """Owns the connections of consumers with ``PresenceConsumerMixin``."""

    def __init__(self) -> None:
        self._checks = Outage(failures=1, seconds=0)  # the traceback may be of the project's own code

    async def refresh(self, sessions: Sequence[Session]) -> None:
        """Call the callbacks; return before they have if they are slow."""
        tasks = {task for session in sessions if (task := _owner(session.connection).take_in(session))}
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE)

    def close(self, connection: Connection[Session], code: int, reason: str) -> None:
        """Keep it: clients of a consumer may say nothing for hours. Servers ping sockets, and report dead ones."""
        connection.heard()

    def notice(self, connections: Sequence[Connection[Session]], kind: str, *rest: Any) -> None:
        """Close the sockets of users whose Django session has ended; ignore other notices, and malformed ones."""
        match [kind, *rest]:
            case [str(kind), str(ended)] if kind == ENDED:
                for owner in map(_owner, connections):
                    scope = owner.consumer.scope
                    session = scope.get("session")
                    if is_logged_in(scope.get("user")) and session is not None and mark(session) == ended:
                        owner.close(CloseCode.LOG_IN)

    async def check(self, connections: Sequence[Connection[Session]]) -> None:
        """Close the sockets of users who are logged out, deactivated or gone, or who their consumer refuses."""
        owners = [_owner(connection) for connection in connections]
        try:
            users = await lanes.run(partial(_current_users, owners))
        except Exception:
            if self._checks.failed():
                logger.exception(
                    "Could not re-check access to open consumers; they stay open until the check works again."
                )
            return
        if self._checks.worked():
            logger.warning("Access to open consumers is checked again.")
        for owner in owners:
            if owner in users:
                owner.check(users[owner])
            else:
                owner.close(CloseCode.LOG_IN)


consumer_host = ConsumerHost()


def _owner(connection: Connection[Session]) -> Owner:
    owner: Owner = connection.owner
    return owner


def _current_users(owners: Sequence[Owner]) -> dict[Owner, Any]:
    """Return the users that the consumers of *owners* have by now, without those who may not be here any more.

    A visitor who is not logged in may stay, whatever has become of their session.
    """
    visitors = {owner: Visitor.of_scope(owner.consumer.scope) for owner in owners}
    users = current_users({visitor for visitor in visitors.values() if visitor.user_id is not None})
    return {
        owner: users.get(visitor, owner.consumer.scope.get("user"))
        for owner, visitor in visitors.items()
        if visitor.user_id is None or visitor in users
    }
