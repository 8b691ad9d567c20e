"""What the tracker sees of the live pages, and what the server tells of its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from ..hosts.access import ENDED, asks_the_view, current_users
from ..hosts.outgoing import PING, Changed, Message, Send, encode
from ..hosts.request import FAILED, FORBIDDEN, LOG_IN
from ..hosts.threads import lanes
from ..outages import Outage
from ..tracker import SESSIONS_PER_HOP, Connection, Refresh, Session, chunks, drain_all
from .view import Update

if TYPE_CHECKING:
    from .consumer import LiveViewConsumer

__all__ = ["LiveHost", "lifespan", "live_host"]

logger = logging.getLogger("djust_presence")

MAX_SHARED = 32  # different regions kept: these may be whole pages
TURNS = 10  # a second each: for so long a check waits for views with which something is done

Receive = Callable[[], Awaitable[Message]]


class Shared:
    """Makes equal regions of many pages the same, so that they are encoded once and wait in memory once.

    They are kept no longer than refreshes are under way.
    """

    def __init__(self) -> None:
        self._uses: set[object] = set()
        self._regions: dict[tuple[tuple[str, str], ...], Changed] = {}

    @contextmanager
    def used(self) -> Iterator[None]:
        use = object()
        self._uses.add(use)
        try:
            yield
        finally:
            self._uses.discard(use)
            if not self._uses:
                self._regions.clear()

    def update(self, update: Update) -> Update:
        """*update*, with the regions of the first that was equal. For any thread."""
        if len(self._regions) >= MAX_SHARED:
            self._regions.clear()
        regions = self._regions.setdefault(tuple(update.regions.items()), update.regions)
        return update._replace(regions=regions)


class LiveHost:
    """What the tracker sees of the live pages."""

    def __init__(self) -> None:
        self._shared = Shared()
        self._checks = Outage(failures=1, seconds=0)  # the traceback may be of the project's own code

    async def refresh(self, sessions: Sequence[Session]) -> None:
        """Let the views of *sessions* take in what has come, and render them, all in one hop. Never raises."""
        work: list[tuple[LiveViewConsumer, list[Refresh]]] = []
        for session in sessions:
            consumer = _consumer(session)
            if refreshes := consumer.begin_refresh(session.take()):
                work.append((consumer, refreshes))
        if not work:
            return
        updates = [Update()] * len(work)
        try:
            with self._shared.used():
                updates = await lanes.run(partial(self._update_all, work), refresh=True)
        except Exception:
            logger.exception("%s live views could not be refreshed.", len(work))
        finally:
            for (consumer, _), update in zip(work, updates, strict=True):
                consumer.end_refresh(update)

    def _update_all(self, work: Sequence[tuple[LiveViewConsumer, list[Refresh]]]) -> list[Update]:
        return [self._shared.update(consumer._view._live_update(refreshes)) for consumer, refreshes in work]

    def broadcast(self, sessions: Sequence[Session], event: str, payload: Any) -> None:
        """Put a broadcast into the pages of *sessions*."""
        frame = encode("event", event=event, payload=payload)
        for session in sessions:
            _consumer(session).put(frame)

    def encode(self, kind: str, fields: dict[str, Any]) -> str:
        return encode(kind, **fields)

    def put(self, sessions: Sequence[Session], text: str) -> list[Session]:
        """Send *text* to the pages of *sessions*; return those that are still being sent to."""
        busy = [session for session in sessions if not _consumer(session).idle]
        for session in sessions if not busy else [one for one in sessions if one not in busy]:
            _consumer(session).put(text)
        return busy

    def ping(self, connections: Sequence[Connection[Session]]) -> None:
        """Ask the pages of *connections* for a sign of life."""
        for connection in connections:
            connection.owner.put(PING)

    def close(self, connection: Connection[Session], code: int, reason: str) -> None:
        """Close the socket of *connection*."""
        connection.owner.close(code, reason)

    def notice(self, connections: Sequence[Connection[Session]], kind: str, *rest: Any) -> None:
        """Close the sockets of a session that has ended; other notices, and malformed ones, are ignored."""
        match [kind, *rest]:
            case [str(kind), str(ended)] if kind == ENDED:  # pages without a session all have the mark None
                for consumer in [connection.owner for connection in connections]:
                    if consumer._view._live_visitor.mark == ended:
                        consumer.expel(LOG_IN, "reload")

    async def check(self, connections: Sequence[Connection[Session]]) -> None:
        """Close the sockets of users whose access has ended."""
        consumers: list[LiveViewConsumer] = [connection.owner for connection in connections]
        visitors = {consumer._view._live_visitor for consumer in consumers}
        try:
            users = await lanes.run(lambda: current_users(visitors))
        except Exception:
            if self._checks.failed():
                logger.exception(
                    "Could not re-check access to open pages; they stay open until the check works again."
                )
            return
        if self._checks.worked():
            logger.warning("Access to open pages is checked again.")
        asked: list[LiveViewConsumer] = []
        for consumer in consumers:
            view = consumer._view
            if view._live_visitor not in users:
                consumer.expel(LOG_IN, "reload")
                continue
            if (user := users[view._live_visitor]) is not None:
                view.request.user = user
            if asks_the_view(view):
                asked.append(consumer)
        for _ in range(TURNS):
            asked = await self._ask(asked)
            if not asked:
                break
            await asyncio.sleep(1)

    async def _ask(self, consumers: Sequence[LiveViewConsumer]) -> list[LiveViewConsumer]:
        """Let views say who is still allowed; those with which something is done are returned."""
        busy: list[LiveViewConsumer] = []
        for some in chunks(consumers, SESSIONS_PER_HOP):
            taken = [consumer for consumer in some if consumer.begin()]
            busy += [consumer for consumer in some if consumer not in taken and not consumer.over]
            allowed: list[bool | None] = [None] * len(taken)
            try:
                allowed = await lanes.run(partial(_answers, taken))
            finally:
                for consumer, answer in zip(taken, allowed, strict=True):
                    if answer is None:
                        consumer.close(FAILED, "failed")
                    elif not answer:
                        consumer.expel(FORBIDDEN, "forbidden")
                    consumer.end()
        return busy


live_host = LiveHost()


def _answers(consumers: Sequence[LiveViewConsumer]) -> list[bool | None]:
    views = [consumer._view for consumer in consumers]
    return [view._live_check(getattr(view.request, "user", None)) for view in views]


def _consumer(session: Session) -> LiveViewConsumer:
    consumer: LiveViewConsumer = session.owner._live_consumer
    return consumer


async def lifespan(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """For ``"lifespan"`` in the ``ProtocolTypeRouter``: when the server stops, nobody is reported gone at once."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await drain_all()
            await send({"type": "lifespan.shutdown.complete"})
            return
