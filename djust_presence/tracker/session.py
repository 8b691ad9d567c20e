"""A session: a presence of a page, or its watch of a group, with wishes, reads and news."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import uuid4

from ..state.audience import Viewer
from ..state.events import Event
from ..state.outbox import Wish
from ..state.records import Member, Step
from .clock import Clock
from .connection import Connection, Host
from .endings import Ending
from .mount_reads import MountReads

__all__ = ["ExtensionFactory", "GroupExtension", "ServedGroup", "Session", "SessionOwner"]


class GroupExtension(Protocol):
    """An addition to a group, such as cursors, for its sessions in this process."""

    def add(self, session: Session, option: Any) -> None:
        """Add a session of the group with its *option*; called again whenever its wishes may have changed."""

    def remove(self, session: Session) -> None:
        """Remove a session that has left the group."""

    def moved(self, steps: Sequence[Step]) -> None:
        """Take in changes of the members."""

    def happened(self, event: Event) -> None:
        """Take in a broadcast to the group."""

    def hear(self, kind: str, *rest: Any) -> None:
        """Take in a message of another process, of a kind that is not presence's. Unknown kinds are ignored.

        Raises ``ValueError`` or ``TypeError`` for a malformed one, which then has no effect.
        """

    def discard(self) -> None:
        """Stop, as the group is no longer served."""


ExtensionFactory = Callable[[Any], GroupExtension]  # called with a group


class ServedGroup(Protocol):
    """The group of a live session, as the session uses it."""

    extensions: dict[ExtensionFactory, GroupExtension]

    def schedule(self) -> None:
        """Refresh its stale sessions soon."""

    def refreshed(self, began: float, took: float) -> None:
        """Note that the refresh that *began* at that time *took* so many seconds."""

    def follow(self, session: Session) -> None:
        """Take in the wishes of *session*, which may have changed."""


class SessionOwner(Protocol):
    """The process of a session. Called on the loop."""

    def admit(self, session: Session) -> None:
        """Take in a session that is live."""

    def follow(self, session: Session) -> None:
        """Carry out its wishes, which have changed."""

    def look(self, session: Session, key: str, before: str | None) -> None:
        """Serve the group *key*, instead of *before*, to a session that is being mounted."""

    def dismiss(self, session: Session, ending: Ending) -> None:
        """Let go of a session that has ended."""

    def broadcast(self, key: str, event: Event) -> None:
        """Send an event to the group *key*."""


class Session(Viewer):
    """One presence, or watch, of a page. Wishes and reads are for any thread; the rest happens on the clock's loop.

    Wishes do not wait for the store: they are at once in all that this session reads, and reach others when the store
    has answered. Before :meth:`live` they have no effect on others.
    """

    __slots__ = (
        "_early",
        "_ended",
        "_live",
        "_process",
        "clock",
        "connection",
        "extensions",
        "group",
        "key",
        "mount_reads",
        "owner",
        "quiet_until",
        "refresh_interval",
        "refreshing",
        "shows_cursors",
    )

    def __init__(
        self, process: SessionOwner, clock: Clock, connection: Connection[Session], owner: Any
    ) -> None:
        super().__init__()
        self._process = process
        self.clock = clock
        self.connection = connection
        self.owner = owner  # the host's own object
        self.key: str | None = None  # of the group that it tracks, or watches
        self.group: ServedGroup | None = None
        self.extensions: dict[ExtensionFactory, Any] = {}  # of its group, with the session's option for each
        self.shows_cursors = False  # True if its page draws cursors
        self.refreshing = False  # True while its host refreshes it
        self.refresh_interval = 0.0  # seconds, if longer than that of its group
        self.quiet_until = 0.0  # it is not refreshed before this time
        self.mount_reads: MountReads | None = None  # its reads while it is mounted
        self._early: list[tuple[str, Event]] = []  # broadcasts of a mount that is not live yet
        self._live = False
        self._ended = False

    # Wishes

    def track(self, key: str, user: str, meta: str, lasting: bool = True) -> None:
        """Be present as *user*. If it tracks this user in this group already, only the meta changes."""
        self.key = key
        self.want(Wish(key, user, meta), lasting, uuid4().hex, time.time())
        self._changed()

    def untrack(self) -> None:
        """Stop being present, and go on watching."""
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
            self.clock.call(self._process.follow, self)

    def broadcast(self, key: str, event: str, payload: Any) -> None:
        """Send an event to every session of the group *key*, in all processes.

        Raises ``TypeError`` or ``ValueError`` for a payload that is not JSON, or has more than 32 levels.
        """
        checked = Event.of(event, payload)
        if self._live:
            self.clock.call(self._process.broadcast, key, checked)
        else:
            self._early.append((key, checked))

    # Reads

    @property
    def follows(self) -> bool:
        """True if it is, or will be, a session of a group."""
        return self.key is not None or not self._live

    def look(self, key: str) -> None:
        """Return when the members of the group *key* are known, or cannot be expected to be known soon.

        Called from the thread of a mount, before it reads the group; a mount waits for a second at most in all. Raises
        ``PresenceError`` in a running loop that would have to wait.
        """
        if looks := self._reads():
            looks.at(key)

    async def alook(self, key: str) -> None:
        """Do the same, awaited on any loop."""
        if looks := self._reads():
            await looks.a_at(key)

    def _reads(self) -> MountReads | None:
        if self._live or self.ended:
            return None
        if self.mount_reads is None:
            self.mount_reads = MountReads(self._begin_look)
        return self.mount_reads

    def stop_looking(self) -> None:
        """End the wait of a mount."""
        if self.mount_reads:
            self.mount_reads.stop()

    def _begin_look(self, key: str, before: str | None) -> None:
        self.baseline = None
        self.clock.call(self._process.look, self, key, before)

    def know(self, members: Mapping[str, Member]) -> None:
        super().know(members)
        self.stop_looking()

    # For the host, on the loop

    @property
    def host(self) -> Host[Session]:
        return self.connection.host

    @property
    def open(self) -> bool:
        return self._live and not self.ended

    @property
    def ended(self) -> bool:
        """True if it or its connection has ended, so that wishes have no effect. For any thread."""
        return self._ended or self.connection.over

    def live(self) -> None:
        """Go live: its wishes take effect."""
        if not self.ended and not self._live:
            self._live = True
            self.baseline = None
            self.connection.begin()
            self.connection.sessions[self] = None
            self._process.admit(self)
            self.mount_reads = None
            for key, event in self._early:
                self._process.broadcast(key, event)
            self._early.clear()

    def end(self, ending: Ending = Ending.CLOSED) -> None:
        """End it, though its connection may go on."""
        if not self._ended:
            self._ended = True
            if self._live:
                del self.connection.sessions[self]
                self._process.dismiss(self, ending)

    def replaced(self) -> None:
        """End it because another view replaces its view on the same connection: the user may stay present."""
        if self.submitted:
            self.submitted = self.submitted._replace(lasting=True)
        self.end()

    def refresh(self) -> None:
        """Render its page with the next refresh of its group; if it is aside, call the extensions instead."""
        if self.aside:
            if self.group:
                self.group.follow(self)
            return
        super().refresh()
        if self.group:
            self.group.schedule()

    # For its owners, on the loop

    def enter(self, group: ServedGroup | None) -> None:
        """Make it a session of *group* from here on."""
        self.group = group

    def is_due(self, now: float) -> bool:
        """Return whether it may be refreshed again, and begin its next interval if so."""
        if self.quiet_until > now:
            return False
        if self.refresh_interval:
            self.quiet_until = now + self.refresh_interval
        return True

    def begin_refresh(self) -> None:
        """Note that its host begins to refresh it."""
        self.refreshing = True

    def end_refresh(self) -> None:
        """Note that its host has refreshed it; refresh it again if there is more news."""
        self.refreshing = False
        if self.stale and self.group:
            self.group.schedule()

    def listen(self, events: bool, interval: float = 0.0) -> None:
        """Set whether the view handles broadcasts, and that it is refreshed at most once in *interval* seconds."""
        self.listens, self.refresh_interval = events, interval

    def extend(self, factory: ExtensionFactory, option: Any = None) -> None:
        """Add the extension that *factory* makes to its group, with *option* for this session."""
        self.extensions[factory] = option

    def be_aside(self) -> None:
        """Leave the news to an extension: they are not kept for its view, and the view is not refreshed."""
        self.aside = True

    def show_cursors(self) -> None:
        """Note that its page draws cursors from here on."""
        self.shows_cursors = True
        if self.group:
            self.group.follow(self)
