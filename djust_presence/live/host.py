"""The host of live pages: refreshes of their views, and whether these still allow their visitors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from weakref import WeakKeyDictionary

from ..codes import CloseCode
from ..hosts.checks import Slots
from ..hosts.lanes import lanes
from ..hosts.outgoing import Changed
from ..hosts.socket import Socket
from ..hosts.socket_host import SocketHost
from ..hosts.threads import spawn
from ..rates import user_code
from ..tracker import Refresh, Session
from .access import Check, has_tests
from .code import Update
from .page import LivePage
from .view import LiveView

__all__ = ["LiveHost", "live_host"]

logger = logging.getLogger("djust_presence")

MAX_SHARED = 32  # different regions kept: these may be whole pages


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
        self._slots = Slots()
        self._asked: WeakKeyDictionary[Socket, Check] = WeakKeyDictionary()

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
        except Exception as error:
            if (left_out := user_code.line("refresh", type(error))) is not None:
                logger.exception("%s live views could not be refreshed.%s", len(work), left_out)
        finally:
            for (page, _), update in zip(work, updates, strict=True):
                page.end_refresh(update)

    def _update_all(self, work: Sequence[tuple[LivePage, list[Refresh]]]) -> list[Update]:
        return [self._shared.update(page.code.update(refreshes)) for page, refreshes in work]

    async def check_more(self, sockets: Sequence[Socket]) -> None:
        """Have the views asked that have a say in who may see them, in their turns and a few at a time."""
        asked = {
            socket: page
            for socket in sockets
            if isinstance(page := socket.behind, LivePage) and (page.surroundings or _asks(page.view))
        }
        await super().check_more([socket for socket in sockets if socket not in asked])
        hanging = False
        for socket, page in asked.items():
            if (last := self._asked.get(socket)) and not last.done.done():
                if last.is_overdue:
                    # A handler, or the check, runs for so long. The page comes back through the middleware.
                    socket.close(CloseCode.RETRY, "busy")
            elif hanging := hanging or not await self._slots.free():
                self.check_failed(socket, TimeoutError("The access checks of other pages hang."))
            elif not page.over:
                check = Check(page.visitor if page.surroundings else None)
                check.done.add_done_callback(partial(self._answered, socket))
                self._asked[socket] = check
                if not page.busy:
                    self._slots.take(check.done)
                page.check(check)

    def has_turns(self, socket: Socket) -> bool:
        page = socket.behind
        return isinstance(page, LivePage) and page.surroundings is not None

    def _answered(self, socket: Socket, done: asyncio.Future[Exception | None]) -> None:
        if done.cancelled():
            return
        if error := done.result():
            self.check_failed(socket, error)
        else:
            self.check_worked(socket)
            if self.has_turns(socket):
                spawn(self.check_parts([socket]))


live_host = LiveHost()


def _asks(view: LiveView) -> bool:
    return type(view).still_allowed is not LiveView.still_allowed or has_tests(view)
