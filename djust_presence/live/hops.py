"""The hops (calls in a thread) of one refresh: they share renderings, and one visit runs as many as fit its time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from time import perf_counter

from ..hosts.threads import Ambients
from ..hosts.workers import workers
from ..rates import user_code
from ..tracker import Refresh
from .code import Update
from .memo import Memo
from .page import LivePage

__all__ = ["Hop", "Hops"]

logger = logging.getLogger("djust_presence")

VISIT = 0.01  # seconds after which a visit begins no more hops

Work = Sequence[tuple[LivePage, list[Refresh]]]


class Hop:
    """Some pages with their news; *done* when they have been refreshed."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.updates = [Update()] * len(work)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(self) -> None:
        """Send the pages their updates."""
        work, self.work = self.work, ()
        for (page, _), update in zip(work, self.updates, strict=False):
            page.end_refresh(update)
        if not self.done.done():  # it is cancelled with the task that waits for it
            self.done.set_result(None)


class Hops:
    """The hops that begin in the same turn of the loop. The first of them runs all."""

    def __init__(self) -> None:
        self._memo = Memo()
        self._hops: list[Hop] = []
        self._waiting: deque[Hop] = deque()

    async def run(self, hop: Hop) -> None:
        """Return when *hop* is done. Never raises."""
        self._hops.append(hop)
        self._waiting.append(hop)
        if hop is not self._hops[0]:
            await hop.done
            return
        try:
            while self._waiting:
                await self._visit()
        finally:
            for other in self._hops:
                other.end()

    async def _visit(self) -> None:
        """Run hops in one visit to a thread, until its time is over."""
        begun: list[Hop] = []
        try:
            await workers.run(partial(self._update, begun), refresh=True)
        except Exception:
            count = sum(len(hop.work) for hop in begun)
            user_code.log(logger.exception, "%s live views could not be refreshed.", count)
        for hop in begun:
            hop.end()

    def _update(self, begun: list[Hop]) -> None:
        until, ambients = perf_counter() + VISIT, Ambients()
        while self._waiting and (not begun or perf_counter() < until):
            hop = self._waiting.popleft()
            begun.append(hop)
            hop.updates = [self._update_page(*one, ambients) for one in hop.work]

    def _update_page(self, page: LivePage, refreshes: list[Refresh], ambients: Ambients) -> Update:
        shares = page.view.share_parts and page.surroundings is None
        update = page.code.update_among(ambients, refreshes, self._memo if shares else None)
        return update._replace(regions=self._memo.share(update.regions))
