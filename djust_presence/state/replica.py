"""One process's picture of a group: Changes and snapshots in any order become members and transitions."""

from __future__ import annotations

from dataclasses import dataclass, field

from .records import NOWHERE, Change, Member, Place, Snapshot, Step

NEVER = float("-inf")


@dataclass(slots=True)
class _Held:
    """Somebody the store no longer lists, shown until it is sure that they have left."""

    member: Member
    until: float


@dataclass(slots=True)
class _Request:
    """A snapshot that is wanted; once it has been sent, *moves* is what the replica had gone through by then.

    A member held until *last* or earlier, and missing in this snapshot, has left.
    """

    last: float = NEVER
    moves: int | None = None
    buffer: list[Change] = field(default_factory=list)


class Replica:
    """A group as this process shows it.

    *hold* is for how many seconds those who are missing stay shown after the store lost the group's history: its
    processes need that time to hand their connections in again. Every method returns the steps it led to.
    """

    __slots__ = ("_held", "_moves", "_request", "_suspect", "hold", "members", "place", "ready", "settling")

    def __init__(self, hold: float) -> None:
        self.hold = hold
        self.ready = (
            False  # until the first snapshot there is nothing to compare with, and nobody is told anything
        )
        self.place = NOWHERE
        self.members: dict[str, Member] = {}
        self.settling = NEVER  # until then no leave is let out
        self._held: dict[str, _Held] = {}
        self._moves = 0
        self._request: _Request | None = _Request()
        self._suspect: Place | None = None

    # What it shows

    @property
    def count(self) -> int:
        return len(self.members) + len(self._held)

    def shown(self) -> dict[str, Member]:
        return {user: held.member for user, held in self._held.copy().items()} | self.members

    def member(self, user: str) -> Member | None:
        held = self._held.get(user)
        return self.members.get(user) or (held.member if held else None)

    # Changes

    def apply(self, change: Change, now: float) -> list[Step]:
        """Take a Change in: at once if it follows what is here, never twice, else by way of a snapshot."""
        if self.ready and self._follows(change):
            return self._fold(change, now)
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
        return change.place.version == 1 and not self.members and not self._held

    def _known(self, change: Change) -> bool:
        return change.place.epoch == self.place.epoch and (
            change.place.version < self.place.version or change.place == self.place
        )

    def _fold(self, change: Change, now: float) -> list[Step]:
        before = {user: self.member(user) for user in change.records}
        self.place = change.place
        self._moves += 1
        for user, member in change.records.items():
            last = self.members.pop(user, None)
            if member:
                self.members[user] = member
                self._held.pop(user, None)
            elif last and self.settling > now:  # their other connections may not have come back yet
                self._held[user] = _Held(last, self.settling)
        return self._steps(before)

    def _steps(self, before: dict[str, Member | None]) -> list[Step]:
        return [
            Step(user, was, self.member(user)) for user, was in before.items() if was != self.member(user)
        ]

    # Snapshots

    @property
    def asks(self) -> bool:
        """Whether a snapshot is wanted and none is under way."""
        return self._request is not None and self._request.moves is None

    def ask(self, last: float = NEVER) -> None:
        if self._request is None or self._request.moves is None:
            self._request = _Request(last)

    def asked(self) -> None:
        """The request leaves: what arrives from here on may be missing in the answer."""
        if self._request is not None:
            self._request.moves = self._moves

    def failed(self) -> None:
        """The request that left was not answered: ask again."""
        if self._request is not None:
            self._request = _Request(self._request.last)

    def receive(self, snapshot: Snapshot, now: float) -> list[Step]:
        """Take in the answer to the request that left: the authority, even with a lower version."""
        request, self._request = self._request, None
        if request is None:
            return []
        place = snapshot.place
        version = place.version if place and place.epoch == self.place.epoch else -1
        if self.ready and request.moves != self._moves and version < self.place.version:
            self._request = _Request(
                request.last
            )  # overtaken by Changes: this one may be older than they are
            return []
        shown = self.shown()
        if (
            self.ready and place != self.place and version <= self.place.version
        ):  # a flush, a roll-back, another life
            self.settling = now + self.hold
        self._held = {
            user: held
            for user, held in self._held.items()
            if user not in snapshot.members and held.until > request.last
        }
        if self.settling > now:
            for user, member in self.members.items():
                if user not in snapshot.members:
                    self._held[user] = _Held(member, self.settling)
        # A tag that fits nothing: should the old copy come back, it is not taken for what is here.
        self.place = place or self.place._replace(tag="")
        self.members = dict(snapshot.members)
        self._moves += 1
        if not self.ready:
            self.ready = True
            steps = []
        else:
            steps = self._steps(dict.fromkeys(self.shown()) | shown)
        for change in sorted(request.buffer, key=lambda one: one.place):
            steps += self.apply(change, now)
        return steps

    # Renewals

    def compare(self, place: Place | None, now: float) -> bool:
        """Hold this against what a renewal on time said; whether it differs, and ``doubt`` should look again."""
        if any(held.until <= now for held in self._held.values()):
            self.ask(last=now)
        same = place == self.place if place else not self.members
        self._suspect = None if same or not self.ready else self.place
        return self._suspect is not None

    def doubt(self) -> None:
        """A difference has stood for a while: if nothing has moved since, something was lost."""
        if self._suspect == self.place:
            self.ask()
        self._suspect = None

    def restart_hold(self, now: float) -> None:
        """The store was out of reach: others need their time again before they count as missing."""
        if self.settling > NEVER:
            self.settling = now + self.hold
            for held in self._held.values():
                held.until = self.settling
