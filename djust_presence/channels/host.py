"""The host of consumers: their callbacks, and the end of access."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from ..codes import CloseCode
from ..hosts import Host
from ..hosts.access import Visitor, current_users
from ..hosts.access_failures import Failures, Slots
from ..hosts.log_ins import ENDED
from ..hosts.sessions import mark
from ..hosts.workers import workers
from ..identity import is_logged_in
from ..tracker import Connection, Session

__all__ = ["ConsumerHost", "consumer_host"]

CALLBACK_WAIT = 0.1  # seconds that other consumers wait for one that is slow


class ConsumerOwner(Protocol):
    """The presence of a consumer, which owns its connection and sessions."""

    consumer: Any

    @property
    def has_context(self) -> bool:
        """True if access is checked inside the consumer's own ``access_context``."""

    def take_in(self, session: Session) -> asyncio.Task[None] | None:
        """Call the consumer's callbacks with the news of *session*; return the task that does so, if any."""

    def check(self, fresh: Any, kind: Hashable) -> bool:
        """Ask the consumer whether its user may stay; return False if it does not decide that. Never waits.

        *fresh* is the user as just fetched, None for a visitor who is not logged in. *kind* goes with the answer, to
        ``ConsumerHost.check_worked`` or ``check_failed``.
        """

    def close(self, code: CloseCode) -> None:
        """Close the socket, and end all sessions. Never waits."""


class ConsumerHost(Host):
    """Owns the connections of consumers with ``PresenceConsumerMixin``."""

    def __init__(self) -> None:
        self._failures = Failures("consumers")
        self._slots = Slots()

    async def refresh(self, sessions: Sequence[Session]) -> None:
        """Call the callbacks, but do not wait for slow ones."""
        tasks = {task for session in sessions if (task := _owner(session.connection).take_in(session))}
        if tasks:
            await asyncio.wait(tasks, timeout=CALLBACK_WAIT)

    def close(self, connection: Connection[Session], code: int, reason: str) -> None:
        """Keep it open: clients of a consumer may be silent for hours, and servers report dead sockets."""
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
        """Close the sockets of users who are logged out, deactivated, deleted, or refused by their consumer."""
        owners = [_owner(connection) for connection in connections]
        together = [owner for owner in owners if not owner.has_context]
        for owner, verdict in (await workers.run(partial(_verdicts, together))).items():
            self._take(owner, verdict)
        hanging = False
        for owner in owners:
            if not owner.has_context:
                continue
            hanging = hanging or not await self._slots.free()
            if not hanging:
                check = asyncio.ensure_future(workers.run(partial(_verdict, owner)))
                check.add_done_callback(partial(self._checked, owner))
                self._slots.take(check)
            else:
                self.check_failed(owner, TimeoutError("The access checks of other consumers hang."))

    def _checked(self, owner: ConsumerOwner, check: asyncio.Future[Verdict]) -> None:
        if not check.cancelled():
            self._take(owner, check.result())

    def _take(self, owner: ConsumerOwner, verdict: Verdict) -> None:
        if verdict.error:
            self.check_failed(owner, verdict.error, verdict.kind)
            return
        if verdict.gone:
            owner.close(CloseCode.LOG_IN)
        elif not owner.check(verdict.user, verdict.kind):
            self.check_worked(owner, verdict.kind)

    def check_worked(self, owner: ConsumerOwner, kind: Hashable) -> None:
        self._failures.worked(owner, kind)

    def check_failed(self, owner: ConsumerOwner, error: Exception, kind: Hashable = None) -> None:
        """Count a check of *owner* that failed, and close its socket after too many."""
        if self._failures.failed(owner, kind, type(owner.consumer).__qualname__, error):
            owner.close(CloseCode.RETRY)


consumer_host = ConsumerHost()


def _owner(connection: Connection[Session]) -> ConsumerOwner:
    owner: ConsumerOwner = connection.owner
    return owner


class Verdict(NamedTuple):
    """The result of a check: the *user* as just fetched, None for a visitor who was not logged in; or *gone*.

    *kind* names the other dependencies of the check, besides the user.
    """

    user: Any = None
    gone: bool = False
    error: Exception | None = None
    kind: Hashable = None


def _verdict(owner: ConsumerOwner) -> Verdict:
    """Check *owner* inside the context of its consumer."""
    try:
        with owner.consumer.access_context():
            return _verdicts([owner])[owner]
    except Exception as error:
        return Verdict(error=error)


def _verdicts(owners: Sequence[ConsumerOwner]) -> dict[ConsumerOwner, Verdict]:
    """Check the users of *owners*. A visitor who is not logged in may stay, even if their session has ended."""
    visitors, verdicts = {}, {}
    for owner in owners:
        try:
            visitor = Visitor.of_scope(owner.consumer.scope)
        except Exception as error:
            verdicts[owner] = Verdict(error=error)
            continue
        if visitor.user_id is None:
            verdicts[owner] = Verdict()
        else:
            visitors[owner] = visitor
    access = current_users(visitors.values())
    for owner, visitor in visitors.items():
        failed = access.errors.get(visitor)
        gone = not failed and visitor not in access.users
        kind = visitor.store, visitor.backend
        verdicts[owner] = Verdict(access.users.get(visitor), gone, failed, kind)
    return verdicts
