"""A live connection: what it wishes, what it reads, and what it is to be told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import uuid4

from ..errors import PresenceError
from ..state.outbox import Wish
from ..state.records import Member, Step
from .endings import Ending

if TYPE_CHECKING:
    from .group import Companion, Group
    from .process import Tracker


PATIENCE = 1.0  # seconds that a mount waits, in all, for the groups that it reads


class Own(NamedTuple):
    """What a session wishes to be. *lasting*: after a lost connection it may come back as the same user."""

    ref: str
    wish: Wish
    lasting: bool


class Event(NamedTuple):
    """A broadcast to the group, on its way to a view that handles it."""

    name: str
    payload: Any


class Refresh(NamedTuple):
    """What a session has not been told yet, in order. Empty: its page may differ all the same."""

    entries: Sequence[Step | Event] = ()


class Host(Protocol):
    """What owns sessions of one kind: it runs user code for them, renders, and has their sockets."""

    async def refresh(self, sessions: Sequence[Session]) -> None:
        """Let each session's view take in ``session.take()`` and render it anew; one hop for all. Never raises."""

    def send(self, sessions: Sequence[Session], event: str, payload: Any) -> None:
        """Put a broadcast into their browsers. Never waits."""

    def show_cursors(self, sessions: Sequence[Session], fields: Mapping[str, Any]) -> list[Session]:
        """Put one frame of cursors into their browsers, but for those that are still being sent to: they are returned."""

    def ping(self, sessions: Sequence[Session]) -> None:
        """Ask their browsers for a sign of life. Never waits."""

    def close(self, session: Session, code: int, reason: str) -> None:
        """Close its socket."""

    def notice(self, sessions: Sequence[Session], kind: str, *rest: Any) -> None:
        """Hear what some process has told all others, of something else than a group. Never waits.

        Unknown kinds are ignored: another version of the package may run elsewhere.
        """

    async def check(self, sessions: Sequence[Session]) -> None:
        """Every REAUTH_INTERVAL: close the sockets of those who may not be there any more. Never raises."""


def in_loop() -> bool:
    """Return whether a blocking call would hold up a running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


HOLDS_UP = (
    "This would ask the presence store and hold up the event loop: await the method's twin instead, whose name begins "
    "with an a (apresence_count, alist_presences)."
)
UNKNOWN: Mapping[str, Member] = {}  # the members of a group that could not be read


def by_host(sessions: Iterable[Session]) -> dict[Host, list[Session]]:
    """*sessions* for one call per host."""
    sorted_out: dict[Host, list[Session]] = {}
    for session in sessions:
        sorted_out.setdefault(session.host, []).append(session)
    return sorted_out


def overlay(members: Mapping[str, Member], told: Own | None, own: Own | None) -> Mapping[str, Member]:
    """*members*, in which the session counts as *told*, as they will be once it counts as *own*."""
    if told == own:
        return members
    seen = dict(members)
    if told and (own is None or own.ref != told.ref):
        member = seen.pop(told.wish.user, None)
        if member and member.connections > 1:
            seen[told.wish.user] = member._replace(connections=member.connections - 1)
    if own:
        more = told is None or told.ref != own.ref
        member = seen.get(own.wish.user)
        if member:
            seen[own.wish.user] = Member(member.connections + more, member.joined_at, own.wish.meta)
        else:
            seen[own.wish.user] = Member(1, time.time(), own.wish.meta)
    return seen


async def drained(stop: asyncio.Task[None]) -> None:
    """Wait for the end of a drain, which goes on if the server has no more time for whoever waits."""
    with suppress(asyncio.CancelledError):
        await asyncio.shield(stop)


class Session:
    """One mounted view. Wishes and reads are for any thread; the rest happens on the tracker's loop.

    Nothing that is wished waits for the store. What it changes is in all that this session reads at once, and
    reaches the others when the store has answered; before :meth:`live`, nothing leaves the session.
    """

    __slots__ = (
        "__weakref__",
        "_early",
        "_ended",
        "_known",
        "_live",
        "_patience",
        "_watched",
        "baseline",
        "companion",
        "confirmed",
        "group",
        "heard_at",
        "host",
        "listens",
        "looks_at",
        "own",
        "pending",
        "pinged_at",
        "refreshing",
        "shows_cursors",
        "stale",
        "told",
        "tracker",
        "view",
    )

    def __init__(self, tracker: Tracker, host: Host, view: Any) -> None:
        self.tracker = tracker
        self.host = host
        self.view = view
        self.listens = False  # whether the view handles broadcasts
        self.companion: Callable[[Group], Companion] | None = None  # what its view needs its group to have
        self.shows_cursors = False  # whether its page draws them
        self.own: Own | None = None  # what is wished
        self.told: Own | None = None  # what the outbox knows of it
        self.confirmed: Own | None = None  # what the group's replica holds of it
        self.group: Group | None = None
        self.pending: list[Step | Event] = []
        self.baseline: Mapping[str, Member] | None = (
            None  # while it is mounted: who was there when it first looked
        )
        self.stale = False
        self.refreshing = False
        self.heard_at = self.pinged_at = tracker.now
        self._watched: str | None = None
        self.looks_at: str | None = None  # the key of the group that it reads while it is mounted
        self._known: Future[None] | None = None  # done when that group is known
        self._patience = PATIENCE
        self._early: list[tuple[str, str, Any]] = []  # broadcasts of a mount that is not live yet
        self._live = False
        self._ended = False

    # Wishes

    @property
    def key(self) -> str | None:
        """The presence key that this session tracks, or watches."""
        return self._watched

    def track(self, key: str, user: str, meta: str, lasting: bool = True) -> None:
        """Be present. Tracked already as this user of this group, only the meta changes."""
        wish = Wish(key, user, meta)
        own = self.own
        self._watched = key
        if own is None or own.wish[:2] != wish[:2]:
            self._wish(Own(uuid4().hex, wish, lasting))
            return
        nth = own.wish.nth + (own.wish.meta == meta and self._is_covered(own))
        self._wish(Own(own.ref, wish._replace(nth=nth), lasting))

    def _is_covered(self, own: Own) -> bool:
        """Return whether the user's record shows the meta of another of their connections, said since."""
        member = self.group.replica.member(own.wish.user) if self.served and self.group else None
        return member is not None and own == self.confirmed and member.meta != own.wish.meta

    def untrack(self) -> None:
        """Be no longer present, and go on watching."""
        self._wish(None)

    def watch(self, key: str) -> None:
        """See the group *key* without being counted; what was tracked elsewhere is over."""
        if self.own and self.own.wish.key != key:
            self.own = None
        self._watched = key
        self._wish(self.own)

    def broadcast(self, key: str, event: str, payload: Any) -> None:
        """Send an event to every session of the group *key*, wherever it is."""
        if self._live:
            self.tracker.call(self.tracker.broadcast, key, event, payload)
        else:
            self._early.append((key, event, payload))

    def _wish(self, own: Own | None) -> None:
        self.own = own
        if self._live and not self._ended:
            self.tracker.call(self.tracker.follow, self)

    # Reads

    @property
    def follows(self) -> bool:
        """True if it reads a group as a session of it, or will."""
        return self._watched is not None or not self._live

    def look(self, key: str) -> None:
        """Return when it is known who is in the group *key*, or can be expected not to be known soon.

        Called from the thread of a mount, before it reads the group; a mount waits for a second at most in all. Raises
        ``PresenceError`` in a running loop that would have to wait.
        """
        if known := self._looks(key):
            if in_loop():
                raise PresenceError(HOLDS_UP)
            began = time.monotonic()
            wait([known], self._patience)
            self._patience = max(0.0, self._patience - (time.monotonic() - began))

    async def alook(self, key: str) -> None:
        """The same, awaited on any loop."""
        if known := self._looks(key):
            began = time.monotonic()
            await asyncio.wait([asyncio.wrap_future(known)], timeout=self._patience)
            self._patience = max(0.0, self._patience - (time.monotonic() - began))

    def _looks(self, key: str) -> Future[None] | None:
        """Let the process serve the group, from the first read on; return what to wait for, if anything."""
        if self._live or self._ended:
            return None
        if self.looks_at != key:
            before, self.looks_at, self._known, self.baseline = self.looks_at, key, Future(), None
            self.tracker.call(self.tracker.look, self, key, before)
        return self._known if self._patience > 0 and self._known and not self._known.done() else None

    def know(self, members: Mapping[str, Member]) -> None:
        """The group that it looks at while it is mounted has *members*."""
        self.baseline = members
        self.pending.clear()
        self.stop_looking()

    def stop_looking(self) -> None:
        """Wait no longer: the group is known, or it is not to be expected that it will be."""
        if self._known and not self._known.done():
            self._known.set_result(None)

    @property
    def served(self) -> bool:
        """Whether reads are memory: the group's replica is there."""
        return self.group is not None and self.group.replica.ready

    def members(self) -> Mapping[str, Member]:
        """The group as this session sees it, itself as wished; no others while they are not known."""
        base = UNKNOWN if self.baseline is None else self.baseline
        if self.group and self.group.replica.ready:
            base = self.group.replica.shown()
        return overlay(base, self.confirmed, self.own)

    def count(self) -> int:
        """How many users there are in :meth:`members`, in constant time."""
        base = UNKNOWN if self.baseline is None else self.baseline
        replica = self.group.replica if self.group and self.group.replica.ready else None
        users = {own.wish.user for own in (self.confirmed, self.own) if own}
        own_members = {user: replica.member(user) if replica else base.get(user) for user in users}
        before = {user: member for user, member in own_members.items() if member}
        total = replica.count if replica else len(base)
        return total + len(overlay(before, self.confirmed, self.own)) - len(before)

    # For the host, on the loop

    @property
    def open(self) -> bool:
        return self._live and not self._ended

    @property
    def ended(self) -> bool:
        """Whether the connection is over, and nothing can be wished any more. For any thread."""
        return self._ended

    def live(self) -> None:
        """The page is live: what was wished takes effect."""
        if not self._ended and not self._live:
            self._live = True
            self.baseline = self._known = None
            self.heard_at = self.pinged_at = self.tracker.now
            self.tracker.admit(self)
            for key, event, payload in self._early:
                self.tracker.broadcast(key, event, payload)
            self._early.clear()

    def go_on_as(self, before: Session) -> None:
        """Take over the ref of *before*, which has ended, and as which the same user is still present."""
        if self.own and before.told:
            wish = self.own.wish._replace(nth=before.told.wish.nth)
            self.own = Own(before.told.ref, wish, self.own.lasting)
            self.told, self.confirmed = before.told, before.confirmed

    def confirm(self) -> None:
        """The group's replica holds what it is told as: what it reads may have been rendered with that twice."""
        if self.confirmed != self.told:
            self.confirmed = self.told
            self.refresh()

    def heard(self) -> None:
        """A sign of life from the browser."""
        self.heard_at = self.tracker.now

    def end(self, ending: Ending = Ending.CLOSED) -> asyncio.Task[None] | None:
        """The connection is over. After a RESTART the page is expected back elsewhere.

        When that was the last of them, the task of the clean stop is returned; it may be awaited.
        """
        if self._ended:
            return None
        self._ended = True
        return self.tracker.dismiss(self, ending) if self._live else None

    def refresh(self) -> None:
        """Its page may differ: let it be rendered with the next refresh of its group."""
        self.stale = True
        if self.group:
            self.group.schedule()

    def take(self) -> Refresh:
        """What has come since the last time."""
        taken, self.pending, self.stale = Refresh(self.pending), [], False
        return taken
