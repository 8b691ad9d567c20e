"""Single people of a group, by the ids that pages ask for."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

from ..hosts.outgoing import dumps
from .faces import Face, Faces, Members

__all__ = ["DotDiff", "Dots"]

P = TypeVar("P", bound=Hashable)


class DotDiff(NamedTuple):
    """The net change of one *user*, whom some pages show: the *face*, or only its *id* if they are gone."""

    user: str
    id: str
    face: Face | None
    joins: bool

    @property
    def parts(self) -> dict[str, list[str]]:
        """The lists of a frame, as JSON texts."""
        if self.face is None:
            return {"leaves": [dumps(self.id)]}
        return {"joins" if self.joins else "updates": [self.face.text]}


class Dots(Generic[P]):
    """The people that pages ask for, as they were last shown."""

    def __init__(self, faces: Faces, members: Members) -> None:
        self._faces = faces
        self._members = members
        self._pages: dict[str, dict[P, None]] = {}
        self._shown: dict[str, Face] = {}

    def add(self, page: P, ids: Iterable[str]) -> None:
        for opaque in ids:
            if opaque not in self._pages:
                self._pages[opaque] = {}
                user = self._faces.ids.user(opaque)
                if user and (member := self._members.member(user)):
                    self._shown[opaque] = self._faces.of(user, member)
            self._pages[opaque][page] = None

    def remove(self, page: P, ids: Iterable[str]) -> None:
        for opaque in ids:
            pages = self._pages[opaque]
            del pages[page]
            if not pages:
                del self._pages[opaque]
                self._shown.pop(opaque, None)

    def __bool__(self) -> bool:
        return bool(self._pages)

    def pages(self, opaque: str) -> list[P]:
        """Return the pages that ask for the person with this id."""
        return list(self._pages.get(opaque, ()))

    def shown(self, ids: Iterable[str]) -> list[Face]:
        """Return those of *ids* who are there, oldest first."""
        return sorted(self._shown[opaque] for opaque in ids if opaque in self._shown)

    def refresh(self, users: Iterable[str]) -> list[DotDiff]:
        """Take in the changes of *users* since the last time."""
        diffs = []
        for user in users:
            opaque = self._faces.ids.of(user)
            if opaque not in self._pages:
                continue
            member, before = self._members.member(user), self._shown.pop(opaque, None)
            after = self._faces.of(user, member) if member else None
            if after:
                self._shown[opaque] = after
            if (before and before.text) != (after and after.text):
                diffs.append(DotDiff(user, opaque, after, before is None))
        return diffs
