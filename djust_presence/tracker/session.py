"""A live connection: what it wishes, what it reads, and what it is to be told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import uuid4

from ..state.outbox import Wish
from ..state.records import Member, Step

if TYPE_CHECKING:
    from .group import Companion, Group
    from .process import Tracker


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
        "_early",
        "_ended",
        "_live",
        "_watched",
        "companion",
        "confirmed",
        "group",
        "heard_at",
        "host",
        "listens",
        "own",
        "pending",
        "pinged_at",
        "refreshing",
        "seen",
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
        self.seen: Mapping[str, Member] | None = (
            None  # who was there when it first looked, before it was served
        )
        self.stale = False
        self.refreshing = False
        self.heard_at = self.pinged_at = tracker.now
        self._watched: str | None = None
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
        self._look_at(key)
        if own is None or own.wish[:2] != wish[:2]:
            self._wish(Own(uuid4().hex, wish, lasting))
            return
        nth = own.wish.nth + (own.wish.meta == meta and self._is_covered(own))
        self._wish(Own(own.ref, wish._replace(nth=nth), lasting))

    def _is_covered(self, own: Own) -> bool:
        """Whether the user's record shows another meta, which another of their connections has said since."""
        member = self.group.replica.member(own.wish.user) if self.served and self.group else None
        return member is not None and own == self.confirmed and member.meta != own.wish.meta

    def untrack(self) -> None:
        """Be no longer present, and go on watching."""
        self._wish(None)

    def watch(self, key: str) -> None:
        """See the group *key* without being counted; what was tracked elsewhere is over."""
        if self.own and self.own.wish.key != key:
            self.own = None
        self._look_at(key)
        self._wish(self.own)

    def broadcast(self, key: str, event: str, payload: Any) -> None:
        """Send an event to every session of the group *key*, wherever it is."""
        if self._live:
            self.tracker.call(self.tracker.broadcast, key, event, payload)
        else:
            self._early.append((key, event, payload))

    def _look_at(self, key: str) -> None:
        if self._watched not in (None, key):
            self.seen = None  # that was another group
        self._watched = key

    def _wish(self, own: Own | None) -> None:
        self.own = own
        if self._live and not self._ended:
            self.tracker.call(self.tracker.follow, self)

    # Reads

    @property
    def served(self) -> bool:
        """Whether reads are memory: the group's replica is there."""
        return self.group is not None and self.group.replica.ready

    def members(self, known: Mapping[str, Member] | None = None) -> Mapping[str, Member]:
        """The group as this session sees it: the replica's members, or what else is *known*, and itself as wished."""
        group = self.group
        if group and group.replica.ready:
            base: Mapping[str, Member] = group.replica.shown()
        else:
            base = UNKNOWN if known is None else known
            if self.seen is None and base is not UNKNOWN:
                self.seen = base
        return overlay(base, self.confirmed, self.own)

    def count(self, known: int = 0, already: Member | None = None) -> int:
        """How many users there are in :meth:`members`, in constant time.

        Without a replica *known* are, among them its own user as *already*, if that is somebody.
        """
        group = self.group
        replica = group.replica if group and group.replica.ready else None
        base: dict[str, Member] = {}
        for own in (self.confirmed, self.own):
            if own and (member := replica.member(own.wish.user) if replica else already):
                base[own.wish.user] = member
        return (
            (replica.count if replica else known) + len(overlay(base, self.confirmed, self.own)) - len(base)
        )

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
            self.heard_at = self.pinged_at = self.tracker.now
            self.tracker.admit(self)
            for key, event, payload in self._early:
                self.tracker.broadcast(key, event, payload)
            self._early.clear()

    def heard(self) -> None:
        """A sign of life from the browser."""
        self.heard_at = self.tracker.now

    def end(self, going_away: bool = False) -> asyncio.Task[None] | None:
        """The connection is over. With *going_away* the server stops, and the page is expected back elsewhere.

        When that was the last of them, the task of the clean stop is returned; it may be awaited.
        """
        if self._ended:
            return None
        self._ended = True
        return self.tracker.dismiss(self, going_away) if self._live else None

    def refresh(self) -> None:
        """Its page may differ: let it be rendered with the next refresh of its group."""
        self.stale = True
        if self.group:
            self.group.schedule()

    def take(self) -> Refresh:
        """What has come since the last time."""
        taken, self.pending, self.stale = Refresh(self.pending), [], False
        return taken
