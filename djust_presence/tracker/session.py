"""A live connection: its wishes, its reads, and the news for its view."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol
from uuid import uuid4

from ..state.audience import Viewer
from ..state.outbox import Wish
from ..state.records import Member, Step
from .clock import Clock
from .endings import Ending
from .looks import Looks

__all__ = ["GroupExtension", "Host", "Owner", "ServedGroup", "Session", "by_host"]


class Host(Protocol):
    """The owner of sessions of one kind: it runs user code for them, renders, and has their sockets."""

    async def refresh(self, sessions: Sequence[Session]) -> None:
        """Give each session's view the news of ``session.take()`` and render it; one hop for all. Never raises."""

    def send(self, sessions: Sequence[Session], event: str, payload: Any) -> None:
        """Put a broadcast into their browsers. Never waits."""

    def show_cursors(self, sessions: Sequence[Session], fields: Mapping[str, Any]) -> list[Session]:
        """Put one frame of cursors into their browsers; return the sessions that were still being sent to."""

    def ping(self, sessions: Sequence[Session]) -> None:
        """Ask their browsers for a sign of life. Never waits."""

    def close(self, session: Session, code: int, reason: str) -> None:
        """Close its socket."""

    def notice(self, sessions: Sequence[Session], kind: str, *rest: Any) -> None:
        """Receive a notice of some process to all others, about something else than a group. Never waits.

        Unknown kinds are ignored: another version of the package may run elsewhere.
        """

    async def check(self, sessions: Sequence[Session]) -> None:
        """Every REAUTH_INTERVAL: close the sockets of users whose access has ended. Never raises."""


class GroupExtension(Protocol):
    """Something else than presence that a group does for its sessions in this process."""

    def add(self, session: Session) -> None:
        """A session of the group; called again whenever its wishes may have changed."""

    def remove(self, session: Session) -> None: ...

    def moved(self, steps: Sequence[Step]) -> None:
        """The members have changed."""

    def hear(self, kind: str, *rest: Any) -> None:
        """A message of another process, of a kind that is not presence's. Unknown kinds are ignored.

        Raises ``ValueError`` or ``TypeError`` for a malformed one, which then has no effect.
        """

    def discard(self) -> None: ...


class ServedGroup(Protocol):
    """The group of a live session, as its session uses it."""

    extension: GroupExtension | None

    def schedule(self) -> None:
        """Refresh its stale sessions soon."""

    def follow(self, session: Session) -> None:
        """The wishes of *session* may have changed."""


class Owner(Protocol):
    """The process of a session, which hears of it on the loop."""

    def admit(self, session: Session) -> None:
        """It is live."""

    def follow(self, session: Session) -> None:
        """Its wishes have changed."""

    def look(self, session: Session, key: str, before: str | None) -> None:
        """It is being mounted, and reads the group *key*, no longer that of *before*."""

    def dismiss(self, session: Session, ending: Ending) -> asyncio.Task[None] | None:
        """It has ended; return the task of the clean stop that this begins, if it does."""

    def broadcast(self, key: str, name: str, payload: Any) -> None:
        """Send an event to the group *key*."""


def by_host(sessions: Iterable[Session]) -> dict[Host, list[Session]]:
    """Return *sessions* by host, for one call each."""
    sorted_out: dict[Host, list[Session]] = {}
    for session in sessions:
        sorted_out.setdefault(session.host, []).append(session)
    return sorted_out


class Session(Viewer):
    """One mounted view. Wishes and reads are for any thread; the rest happens on the clock's loop.

    No wish waits for the store. It shows in all that this session reads at once, and reaches the others when the store
    has answered. Before :meth:`live`, nothing leaves the session.
    """

    __slots__ = (
        "_early",
        "_ended",
        "_live",
        "_owner",
        "clock",
        "extension",
        "group",
        "heard_at",
        "host",
        "key",
        "looks",
        "pinged_at",
        "refreshing",
        "shows_cursors",
        "view",
    )

    def __init__(self, owner: Owner, clock: Clock, host: Host, view: Any) -> None:
        super().__init__()
        self._owner = owner
        self.clock = clock
        self.host = host
        self.view = view
        self.key: str | None = None  # of the group that it tracks, or watches
        self.group: ServedGroup | None = None
        self.extension: Callable[[Any], GroupExtension] | None = (
            None  # makes what its group needs for its view
        )
        self.shows_cursors = False  # whether its page draws them
        self.refreshing = False  # whether its host is at it
        self.heard_at = self.pinged_at = clock.now
        self.looks = Looks(self._begin_look)
        self._early: list[tuple[str, str, Any]] = []  # broadcasts of a mount that is not live yet
        self._live = False
        self._ended = False

    # Wishes

    def track(self, key: str, user: str, meta: str, lasting: bool = True) -> None:
        """Be present. If it tracks this user in this group already, only the meta changes."""
        self.key = key
        self.want(Wish(key, user, meta), lasting, uuid4().hex, time.time())
        self._changed()

    def untrack(self) -> None:
        """Be no longer present, and go on watching."""
        self.wanted = None
        self._changed()

    def watch(self, key: str) -> None:
        """See the group *key* without being counted; end the presence in another one."""
        if self.wanted and self.wanted.wish.key != key:
            self.wanted = None
        self.key = key
        self._changed()

    def _changed(self) -> None:
        if self.open:
            self.clock.call(self._owner.follow, self)

    def broadcast(self, key: str, event: str, payload: Any) -> None:
        """Send an event to every session of the group *key*, wherever it is."""
        if self._live:
            self.clock.call(self._owner.broadcast, key, event, payload)
        else:
            self._early.append((key, event, payload))

    # Reads

    @property
    def follows(self) -> bool:
        """True if it reads a group as a session of it, or will."""
        return self.key is not None or not self._live

    def look(self, key: str) -> None:
        """Return when the members of the group *key* are known, or cannot be expected to be known soon.

        Called from the thread of a mount, before it reads the group; a mount waits for a second at most in all. Raises
        ``PresenceError`` in a running loop that would have to wait.
        """
        if self._mounting:
            self.looks.at(key)

    async def alook(self, key: str) -> None:
        """The same, awaited on any loop."""
        if self._mounting:
            await self.looks.a_at(key)

    @property
    def _mounting(self) -> bool:
        return not self._live and not self._ended

    def _begin_look(self, key: str, before: str | None) -> None:
        self.baseline = None
        self.clock.call(self._owner.look, self, key, before)

    def know(self, members: Mapping[str, Member]) -> None:
        super().know(members)
        self.looks.stop()

    # For the host, on the loop

    @property
    def open(self) -> bool:
        return self._live and not self._ended

    @property
    def ended(self) -> bool:
        """True if the connection is over, and wishes have no effect. For any thread."""
        return self._ended

    def live(self) -> None:
        """The page is live: its wishes take effect."""
        if not self._ended and not self._live:
            self._live = True
            self.baseline = None
            self.heard_at = self.pinged_at = self.clock.now
            self._owner.admit(self)
            for key, event, payload in self._early:
                self._owner.broadcast(key, event, payload)
            self._early.clear()

    def heard(self) -> None:
        """A sign of life from the browser."""
        self.heard_at = self.clock.now

    def end(self, ending: Ending = Ending.CLOSED) -> asyncio.Task[None] | None:
        """The connection is over. After a RESTART the page is expected back elsewhere.

        When that was the last of them, the task of the clean stop is returned; it may be awaited.
        """
        if self._ended:
            return None
        self._ended = True
        return self._owner.dismiss(self, ending) if self._live else None

    def replaced(self) -> None:
        """End as its view is replaced by another one, on a connection that stays: any user may go on as before."""
        if self.submitted:
            self.submitted = self.submitted._replace(lasting=True)
        self.end()

    def refresh(self) -> None:
        """Render its page with the next refresh of its group."""
        super().refresh()
        if self.group:
            self.group.schedule()

    # For its owners, on the loop

    def enter(self, group: ServedGroup | None) -> None:
        """It is a session of *group* from here on."""
        self.group = group

    def pinged(self) -> None:
        """Its browser has been asked for a sign of life."""
        self.pinged_at = self.clock.now

    def begin_refresh(self) -> None:
        """Its host is about to refresh it."""
        self.refreshing = True

    def end_refresh(self) -> None:
        """Its host has refreshed it; refresh it again if there is more."""
        self.refreshing = False
        if self.stale and self.group:
            self.group.schedule()

    def listen(self, events: bool) -> None:
        """Let the view handle broadcasts, or not."""
        self.listens = events

    def extend(self, extension: Callable[[Any], GroupExtension]) -> None:
        """Let its group have an *extension*, which is made with the group."""
        self.extension = extension

    def show_cursors(self) -> None:
        """Its page draws cursors from here on."""
        self.shows_cursors = True
        if self.group:
            self.group.follow(self)
