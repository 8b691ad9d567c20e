"""The host of live pages: refreshes of their views, and the access checks of these."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import Context
from functools import partial
from weakref import WeakKeyDictionary

from ..codes import CloseCode
from ..hosts.access_failures import Slots
from ..hosts.socket import Socket
from ..hosts.socket_host import SocketHost
from ..hosts.threads import spawn
from ..tracker import Refresh, Session
from .access import Check, has_tests
from .hops import Hop, Hops
from .page import LivePage
from .view import LiveView

__all__ = ["LiveHost", "live_host"]


class LiveHost(SocketHost):
    """Owns sessions whose owner is a :class:`LivePage`."""

    def __init__(self) -> None:
        super().__init__()
        self._hops: WeakKeyDictionary[asyncio.AbstractEventLoop, Hops] = WeakKeyDictionary()
        self._slots = Slots()
        self._asked: WeakKeyDictionary[Socket, Check] = WeakKeyDictionary()

    async def refresh(self, sessions: Sequence[Session]) -> None:
        """Give the views of *sessions* their news, and render them. Never raises."""
        work: list[tuple[LivePage, list[Refresh]]] = []
        for session in sessions:
            page: LivePage = session.owner
            if refreshes := page.begin_refresh(session.take()):
                work.append((page, refreshes))
        if not work:
            return
        await self._hops_of_turn().run(Hop(work))

    def _hops_of_turn(self) -> Hops:
        """Return the hops that begin in this turn of the loop: they are one refresh."""
        loop = asyncio.get_running_loop()
        hops = self._hops.get(loop)
        if hops is None:
            hops = self._hops[loop] = Hops()
            loop.call_soon(self._hops.pop, loop, None, context=Context())
        return hops

    async def check_more(self, sockets: Sequence[Socket]) -> None:
        """Run the access checks of views that have their own, in their turns and a few at a time."""
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
                    # A handler, or the check itself, has run too long. The page reconnects, through the middleware.
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
