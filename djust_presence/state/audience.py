"""The pages of a group: each sees the members with its own presence as wanted, and gets every change since it looked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakSet

from .events import Event
from .outbox import Wish
from .records import NOWHERE, Change, Member, Snapshot, Step
from .replica import Replica

__all__ = ["UNKNOWN", "Audience", "Intent", "Refresh", "Viewer", "overlay"]

UNKNOWN: Mapping[str, Member] = {}  # the members of a group that could not be read


class Refresh(NamedTuple):
    """News of a page's group, in order. The page may need a rendering even if there are none."""

    entries: Sequence[Step | Event] = ()


class Intent(NamedTuple):
    """The presence of a page: its wish, the connection *ref*, and since when (epoch seconds).

    *lasting*: after a lost connection the page may come back as the same user.
    """

    ref: str
    wish: Wish
    lasting: bool
    at: float


def overlay(
    members: Mapping[str, Member], counted: Intent | None, wanted: Intent | None
) -> Mapping[str, Member]:
    """Return *members* as they will be once a page that counts as *counted* counts as *wanted*."""
    if counted == wanted:
        return members
    seen = dict(members)
    if counted and (wanted is None or wanted.ref != counted.ref):
        member = seen.pop(counted.wish.user, None)
        if member and member.connections > 1:
            seen[counted.wish.user] = member._replace(connections=member.connections - 1)
    if wanted:
        more = counted is None or counted.ref != wanted.ref
        member = seen.get(wanted.wish.user)
        if member:
            seen[wanted.wish.user] = Member(member.connections + more, member.joined_at, wanted.wish.meta)
        else:
            seen[wanted.wish.user] = Member(1, wanted.at, wanted.wish.meta)
    return seen


class Viewer:
    """One page. Its presence is *wanted* at once, then *submitted* to the outbox, then *confirmed* by the replica.

    Wishes and reads may be called from any thread, the rest from one.
    """

    __slots__ = (
        "__weakref__",
        "aside",
        "audience",
        "baseline",
        "blind",
        "confirmed",
        "listens",
        "pending",
        "stale",
        "submitted",
        "wanted",
    )

    def __init__(self) -> None:
        self.wanted: Intent | None = None
        self.submitted: Intent | None = None
        self.confirmed: Intent | None = None
        self.audience: Audience[Any] | None = None  # that of its group, once it is live
        self.baseline: Mapping[str, Member] | None = None  # the members when it looked, while it is mounted
        self.aside = False  # True if extensions, not the audience, have its news
        self.listens = False  # True if its view handles broadcasts
        self.pending: list[Step | Event] = []
        self.stale = False  # True if its page needs a rendering
        self.blind = False  # True if it has read a group that was not known

    # Wishes

    def want(self, wish: Wish, lasting: bool, ref: str, at: float) -> None:
        """Be present from *at* on. For the same user and group it keeps its ref, and only the meta changes."""
        before = self.wanted
        if before is None or before.wish[:2] != wish[:2]:
            self.wanted = Intent(ref, wish, lasting, at)
        else:
            again = before.wish.meta == wish.meta and self._is_covered(before)
            wish = wish._replace(nth=before.wish.nth + again)
            self.wanted = before._replace(wish=wish, lasting=lasting)

    def _is_covered(self, intent: Intent) -> bool:
        """Return whether the user's record shows the meta of another of their connections, said later."""
        member = self.audience.replica.member(intent.wish.user) if self.audience else None
        return member is not None and intent == self.confirmed and member.meta != intent.wish.meta

    def go_on_as(self, before: Viewer) -> None:
        """Take over the ref of *before*, an ended page of the same user that is still present."""
        if self.wanted and before.submitted:
            wish = self.wanted.wish._replace(nth=before.submitted.wish.nth)
            self.wanted = self.wanted._replace(ref=before.submitted.ref, wish=wish)
            self.submitted, self.confirmed = before.submitted, before.confirmed

    def confirm(self) -> None:
        """Note that the replica holds the submitted presence: a page rendered before may count it twice."""
        if self.confirmed != self.submitted:
            self.confirmed = self.submitted
            self.refresh()

    # Reads

    @property
    def served(self) -> bool:
        """True if reads are memory: the page is live, and its group's replica is known."""
        return self.audience is not None and self.audience.replica.ready

    def members(self) -> Mapping[str, Member]:
        """Return the group as this page sees it, itself as wanted; no others while they are not known."""
        members = self.audience.replica.shown() if self.audience and self.served else self._known()
        return overlay(members, self.confirmed, self.wanted)

    def count(self) -> int:
        """Return the number of users in :meth:`members`, in constant time."""
        replica = self.audience.replica if self.audience and self.audience.replica.ready else None
        known = UNKNOWN if replica else self._known()
        total = replica.count if replica else len(known)
        if self.confirmed is self.wanted:
            return total
        users = {intent.wish.user for intent in (self.confirmed, self.wanted) if intent}
        found = {user: replica.member(user) if replica else known.get(user) for user in users}
        mine = {user: member for user, member in found.items() if member}
        return total + len(overlay(mine, self.confirmed, self.wanted)) - len(mine)

    def _known(self) -> Mapping[str, Member]:
        if self.baseline is None:
            self.blind = True
            return UNKNOWN
        return self.baseline

    # News

    def know(self, members: Mapping[str, Member]) -> None:
        """Take in the *members* of the group that it looks at while it is mounted."""
        self.baseline = members
        self.pending.clear()

    def refresh(self) -> None:
        """Note that its page needs a rendering."""
        self.stale = True

    def take(self) -> Refresh:
        """Return the news since the last time."""
        taken, self.pending, self.stale = Refresh(self.pending), [], False
        return taken


V = TypeVar("V", bound=Viewer)


class Audience(Generic[V]):
    """The pages of one group, whose members are in *replica*. News are gathered, and passed on by :meth:`flush`."""

    def __init__(self, key: str, replica: Replica) -> None:
        self.key = key
        self.replica = replica
        self.viewers: dict[V, None] = {}  # the live pages
        self.aside: dict[V, None] = {}  # live pages whose news go to extensions
        self.mounting: WeakSet[V] = WeakSet()  # weakly, as a refused mount does not say so
        self.news: list[Step | Event] = []
        self._written = NOWHERE

    # Pages

    def look(self, viewer: V) -> None:
        """Add a page that is not live yet: once live, it gets everything that happens from here on."""
        self._share()
        self.mounting.add(viewer)
        if self.replica.ready:
            viewer.know(self.replica.shown())

    def add(self, viewer: V) -> None:
        """Add a live page, with the news since it looked that it does not show already."""
        self._share()
        looked = viewer in self.mounting
        self.mounting.discard(viewer)
        if not looked:
            viewer.pending.clear()  # of another group
        (self.aside if viewer.aside else self.viewers)[viewer] = None
        viewer.audience = self
        if viewer.confirmed and viewer.confirmed.wish.key != self.key:
            viewer.confirmed = None
        if self.replica.ready:
            self._welcome(viewer, looked)

    def remove(self, viewer: V) -> None:
        viewer.audience = None
        del (self.aside if viewer.aside else self.viewers)[viewer]

    @property
    def live(self) -> Iterable[V]:
        """All live pages."""
        return chain(self.viewers, self.aside)

    @property
    def empty(self) -> bool:
        """True if there are no pages, and none is being mounted."""
        return not (self.viewers or self.aside or self.mounting)

    def _welcome(self, viewer: V, looked: bool = False) -> None:
        """Refresh a page that may show an older state. A page that joins is refreshed by its own join."""
        if viewer.pending or viewer.blind or (viewer.wanted is None and not looked):
            viewer.refresh()
        viewer.blind = False

    # News

    def shows(self, intent: Intent | None) -> bool:
        """Return whether the replica has all answers of the store to this process, and the user of *intent*."""
        place = self.replica.place
        reached = place.epoch == self._written.epoch and place.version >= self._written.version
        return (
            (reached or self.replica.current)
            and not self.replica.unsure
            and (intent is None or self.replica.member(intent.wish.user) is not None)
        )

    def wrote(self, change: Change, now: float) -> list[Step]:
        """Take in a Change that this process has made; return the steps it led to."""
        self._written = change.place
        return self.apply(change, now)

    def apply(self, change: Change, now: float) -> list[Step]:
        """Take in a Change; return the steps it led to."""
        return self._gather(self.replica.apply(change, now))

    def receive(self, snapshot: Snapshot, now: float) -> list[Step]:
        """Take in a snapshot; return the steps it led to."""
        first = not self.replica.ready
        steps = self.replica.receive(snapshot, now)
        if not first:
            return self._gather(steps)
        for viewer in self.live:
            self._welcome(viewer)
        for viewer in tuple(self.mounting):
            viewer.know(self.replica.shown())
        return steps

    def _gather(self, steps: list[Step]) -> list[Step]:
        if self.viewers or self.mounting:
            self.news += steps
        return steps

    def happened(self, event: Event) -> None:
        """Give a broadcast to the views that handle it."""
        if any(viewer.listens for viewer in (*self.viewers, *self.mounting)):
            self.news.append(event)

    def flush(self) -> list[V]:
        """Pass on the news; return the live pages that are stale."""
        self._share()
        return [viewer for viewer in self.viewers if viewer.stale]

    def _share(self) -> None:
        news, self.news = self.news, []
        if news:
            steps = [entry for entry in news if isinstance(entry, Step)]
            for viewer in (*self.viewers, *self.mounting):
                if some := news if viewer.listens else steps:
                    viewer.pending += some
                    viewer.stale = True
