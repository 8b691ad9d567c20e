"""The people that the lists of a group show, and their changes from one flush to the next."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from typing import NamedTuple

from ..state.records import Member
from .faces import Face, Faces, Members, order

__all__ = ["LONGEST", "List", "ListDiff"]

LONGEST = 500  # people; a longer list is cut to those who have been there longest, and the page's own user


class ListDiff(NamedTuple):
    """The net change of a list: JSON texts of people, and ids; *cut* are users who left the list, but not the group."""

    joins: list[str]
    updates: list[str]
    leaves: list[str]
    cut: frozenset[str]
    partial: bool | None  # None: as before

    @property
    def empty(self) -> bool:
        return not (self.joins or self.updates or self.leaves or self.partial is not None)


class List:
    """The list of a group's *members* as it was last shown: all of them, or the oldest if there are too many."""

    def __init__(self, faces: Faces, members: Members, longest: int = LONGEST) -> None:
        self._faces = faces
        self._members = members
        self._longest = longest
        self.shown: dict[str, Face] = self._oldest({})
        self.partial = members.count > len(self.shown)
        self._texts: list[str] | None = None

    @property
    def texts(self) -> list[str]:
        """The people as JSON, oldest first."""
        if self._texts is None:
            self._texts = [face.text for face in sorted(self.shown.values())]
        return self._texts

    def face(self, user: str, member: Member) -> Face:
        """Return the face of a user who need not be in the list."""
        return self._faces.of(user, member)

    def refresh(self, users: Iterable[str]) -> ListDiff:
        """Take in the changes of *users* since the last time."""
        before, after = self.shown, dict(self.shown)
        last = max(before.values()).order if self.partial and before else None
        for user in users:
            member = self._members.member(user)
            if member and (last is None or order(user, member) <= last):
                after[user] = self._faces.of(user, member)
            else:
                after.pop(user, None)
        count = self._members.count
        if len(after) < min(count, self._longest):
            after = self._oldest(after)
        elif len(after) > self._longest:
            after = dict(nsmallest(self._longest, after.items(), key=lambda item: item[1].order))
        partial = count > len(after)
        diff = ListDiff(
            [face.text for user, face in after.items() if user not in before],
            [face.text for user, face in after.items() if user in before and face.text != before[user].text],
            [face.id for user, face in before.items() if user not in after],
            frozenset(user for user in before if user not in after and self._members.member(user)),
            None if partial == self.partial else partial,
        )
        self.shown, self.partial, self._texts = after, partial, None
        return diff

    def _oldest(self, known: dict[str, Face]) -> dict[str, Face]:
        oldest = nsmallest(self._longest, self._members.shown().items(), key=lambda item: order(*item))
        return {user: known.get(user) or self._faces.of(user, member) for user, member in oldest}
