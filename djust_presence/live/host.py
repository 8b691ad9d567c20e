"""The host of live pages: refreshes of their views, and whether these still allow their visitors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from ..codes import CloseCode
from ..hosts.lanes import lanes
from ..hosts.outgoing import Changed
from ..hosts.socket import Socket
from ..hosts.socket_host import SocketHost
from ..tracker import SESSIONS_PER_HOP, Refresh, Session, chunks
from .access import has_tests
from .code import Update
from .page import LivePage
from .view import LiveView

__all__ = ["LiveHost", "live_host"]

logger = logging.getLogger("djust_presence")

MAX_SHARED = 32  # different regions kept: these may be whole pages
TURNS = 10  # a second each: for so long a check waits for views for which something runs


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


class LiveHost(SocketHost):
    """Owns sessions whose owner is a :class:`LivePage`."""

    def __init__(self) -> None:
        super().__init__()
        self._shared = Shared()

    async def refresh(self, sessions: Sequence[Session]) -> None:
        """Let the views of *sessions* take in their news, and render them, all in one hop. Never raises."""
        work: list[tuple[LivePage, list[Refresh]]] = []
        for session in sessions:
            page: LivePage = session.owner
            if refreshes := page.begin_refresh(session.take()):
                work.append((page, refreshes))
        if not work:
            return
        updates = [Update()] * len(work)
        try:
            with self._shared.used():
                updates = await lanes.run(partial(self._update_all, work), refresh=True)
        except Exception:
            logger.exception("%s live views could not be refreshed.", len(work))
        finally:
            for (page, _), update in zip(work, updates, strict=True):
                page.end_refresh(update)

    def _update_all(self, work: Sequence[tuple[LivePage, list[Refresh]]]) -> list[Update]:
        return [self._shared.update(page.code.update(refreshes)) for page, refreshes in work]

    async def check_more(self, sockets: Sequence[Socket]) -> None:
        pages = [socket.behind for socket in sockets if isinstance(socket.behind, LivePage)]
        asked = [page for page in pages if _asks(page.view)]
        for _ in range(TURNS):
            asked = await self._ask(asked)
            if not asked:
                break
            await asyncio.sleep(1)

    async def _ask(self, pages: Sequence[LivePage]) -> list[LivePage]:
        """Ask views whether they still allow their visitors; return those for which something runs."""
        busy: list[LivePage] = []
        for some in chunks(pages, SESSIONS_PER_HOP):
            taken = [page for page in some if page.begin_turn()]
            busy += [page for page in some if page not in taken and not page.over]
            allowed: list[bool | None] = [None] * len(taken)
            try:
                allowed = await lanes.run(partial(_answers, taken))
            finally:
                for page, answer in zip(taken, allowed, strict=True):
                    if page.socket and answer is None:
                        page.socket.close(CloseCode.FAILED, "failed")
                    elif page.socket and not answer:
                        page.socket.expel(CloseCode.FORBIDDEN, "forbidden")
                    page.end_turn()
        return busy


live_host = LiveHost()


def _asks(view: LiveView) -> bool:
    return type(view).still_allowed is not LiveView.still_allowed or has_tests(view)


def _answers(pages: Sequence[LivePage]) -> list[bool | None]:
    return [page.code.allows(getattr(page.view.request, "user", None)) for page in pages]
