"""One process's copy of a group: Changes and snapshots in any order become members and transitions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .listing import Members
from .records import NOWHERE, Change, Member, Place, Snapshot, Step

__all__ = ["Replica"]

NEVER = float("-inf")
LIVES = 8  # epochs of a group that are remembered as over: no message is older


@dataclass(slots=True)
class _Request:
    """A request for a snapshot; *moves* counts the replica's steps when it was sent.

    *last*: it was sent after the hold, so users who are missing in it have left. *old*: it was sent before another
    snapshot was asked for, so another one has to follow.
    """

    moves: int | None = None
    last: bool = False
    old: bool = False
    buffer: list[Change] = field(default_factory=list)


class Replica:
    """A group as this process shows it.

    *hold* is the time in seconds for which missing users stay shown after the store lost the group's history: its
    processes need that time to join their refs again. The hold ends with the first renewal on time
    after that. Every method returns the steps it led to. The members can be read from any thread.
    """

    __slots__ = (
        "_begun",
        "_ended",
        "_held",
        "_members",
        "_moves",
        "_over",
        "_request",
        "_shown",
        "_suspect",
        "hold",
        "place",
        "ready",
        "settling",
        "unsure",
    )

    def __init__(self, hold: float) -> None:
        self.hold = hold
        # False until the first snapshot: there is nothing to compare with, and there are no steps.
        self.ready = False
        self.place = NOWHERE
        self.settling = NEVER  # leaves are withheld until this time, and until a renewal on time
        self.unsure = False  # True if a change may be missing that no message will bring
        self._members: dict[str, Member] = {}
        self._begun = self._ended = 0  # changes of these
        self._shown = (-1, Members({}))  # the copy of the members, and the number of changes before it
        self._held: set[str] = set()  # shown users whom the store does not list
        self._over: deque[str] = deque(maxlen=LIVES)
        self._moves = 0
        self._request: _Request | None = _Request()
        self._suspect: Place | None = None

    # The shown members

    @property
    def count(self) -> int:
        return len(self._members)

    def shown(self) -> Members:
        """Return the members, read-only: the same object while they do not change."""
        ended, (changes, shown) = self._ended, self._shown
        if changes == self._begun:
            return shown
        shown = Members(self._members)
        if self._begun == ended:  # otherwise it was copied during a change
            self._shown = ended, shown
        return shown

    def member(self, user: str) -> Member | None:
        return self._members.get(user)

    # Changes

    def apply(self, change: Change, now: float) -> list[Step]:
        """Apply a Change if it follows the replica's state; skip a duplicate; otherwise ask for a snapshot."""
        if self.ready and self._follows(change):
            return self._fold(change)
        if self.ready and self._known(change):
            return []
        if self._request is None:
            self._request = _Request()
        elif self._request.moves is not None:
            self._request.buffer.append(change)  # the snapshot under way may be older than this
        return []

    def _follows(self, change: Change) -> bool:
        if change.place.epoch == self.place.epoch:
            return change.place.version == self.place.version + 1 and change.prev == self.place.tag
        return change.place.version == 1 and not self._members and change.place.epoch not in self._over

    def _known(self, change: Change) -> bool:
        return change.place.epoch == self.place.epoch and (
            change.place.version < self.place.version or change.place == self.place
        )

    def _fold(self, change: Change) -> list[Step]:
        before = {user: self._members.get(user) for user in change.records}
        self._move(change.place)
        self._begun += 1
        for user, member in change.records.items():
            if member:
                self._members[user] = member
                self._held.discard(user)
            elif self.settling > NEVER:  # their other connections may not have come back yet
                if user in self._members:
                    self._held.add(user)
            else:
                self._members.pop(user, None)
                self._held.discard(user)
        self._ended += 1
        return self._steps(before)

    def _move(self, place: Place) -> None:
        if place.epoch != self.place.epoch:
            self._over.append(self.place.epoch)
        self.place = place
        self._moves += 1

    def _steps(self, before: dict[str, Member | None]) -> list[Step]:
        return [
            Step(user, was, now) for user, was in before.items() if was != (now := self._members.get(user))
        ]

    # Snapshots

    @property
    def asks(self) -> bool:
        """True if a snapshot is wanted and none is under way."""
        return self._request is not None and self._request.moves is None

    @property
    def current(self) -> bool:
        """True if no change is known to be missing."""
        return self._request is None

    def ask(self) -> None:
        if self._request is None:
            self._request = _Request()

    def ask_anew(self) -> None:
        """Ask for a snapshot taken from here on: one under way may be too old."""
        self.unsure = True
        self.ask()
        if self._request and self._request.moves is not None:
            self._request.old = True

    def asked(self) -> None:
        """Note that the request is sent: Changes that arrive from here on may be missing in the answer."""
        if self._request is not None:
            self._request.moves = self._moves
            self._request.last = self.settling == NEVER

    def failed(self) -> None:
        """Ask again, as the request was not answered."""
        if self._request is not None:
            self._request = _Request()

    def receive(self, snapshot: Snapshot, now: float) -> list[Step]:
        """Take in the answer to the request, which counts even with a lower version."""
        request, self._request = self._request, None
        if request is None:
            return []
        place = snapshot.place
        version = place.version if place and place.epoch == self.place.epoch else -1
        if self.ready and request.moves != self._moves and version < self.place.version:
            self._request = _Request()  # Changes have overtaken it: it may be older than they are
            return []
        if self.ready and not self._agrees(place) and version <= self.place.version:
            self.settling = now + self.hold  # a flush, a roll-back, another epoch
        before, members = self._members, dict(snapshot.members)
        if self.settling > NEVER:
            self._held = before.keys() - members.keys()
        elif request.last:
            self._held = set()
        else:
            self._held = self._held - members.keys()
        members |= {user: member for user, member in before.items() if user in self._held}
        self._begun += 1
        self._members = members
        self._ended += 1
        # A tag that no Change has: if the old copy of the store comes back, it is not mistaken for this state.
        self._move(place or self.place._replace(tag=""))
        steps = self._steps(dict.fromkeys(members) | before) if self.ready else []
        self.ready = True
        self.unsure = request.old
        if request.old:
            self._request = _Request()
        for change in sorted(request.buffer, key=lambda one: one.place):
            steps += self.apply(change, now)
        return steps

    # Renewals

    def compare(self, place: Place | None, now: float) -> bool:
        """Compare this with the answer of a renewal on time; return True if it differs and ``doubt`` should follow."""
        if self.settling <= now:
            self.settling = NEVER
            if self._held:
                self.ask()
        self._suspect = None if self._agrees(place) or not self.ready else self.place
        return self._suspect is not None

    def _agrees(self, place: Place | None) -> bool:
        return place == self.place if place else len(self._members) == len(self._held)

    def doubt(self) -> None:
        """Ask for a snapshot if the replica has not changed since it differed: a message was lost."""
        if self._suspect == self.place:
            self.ask()
        self._suspect = None

    def restart_hold(self, now: float) -> None:
        """Begin the hold again, as the store was out of reach: processes need their time again to join their refs."""
        if self.settling > NEVER or self._held:
            self.settling = now + self.hold
