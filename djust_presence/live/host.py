"""What the tracker sees of the live pages, and what the server tells of its end."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from ..tracker import Refresh, Session, drain_all
from .outgoing import PING, Changed, Message, Send, encode
from .threads import lanes
from .view import Update

if TYPE_CHECKING:
    from .consumer import LiveViewConsumer

__all__ = ["LiveHost", "lifespan", "live_host"]

logger = logging.getLogger("djust_presence")

MAX_SHARED = 32  # different regions kept: these may be whole pages

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

    def send(self, sessions: Sequence[Session], event: str, payload: Any) -> None:
        """Put a broadcast into the pages of *sessions*."""
        frame = encode("event", event=event, payload=payload)
        for session in sessions:
            _consumer(session).put(frame)

    def ping(self, sessions: Sequence[Session]) -> None:
        """Ask the pages of *sessions* for a sign of life."""
        for session in sessions:
            _consumer(session).put(PING)

    def close(self, session: Session, code: int, reason: str) -> None:
        """Close the socket of *session*."""
        _consumer(session).close(code, reason)


live_host = LiveHost()


def _consumer(session: Session) -> LiveViewConsumer:
    consumer: LiveViewConsumer = session.view._live_consumer
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
