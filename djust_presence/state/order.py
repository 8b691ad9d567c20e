"""The order in which the members of a group are listed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from typing import Self

from .records import Member

__all__ = ["Order", "Spot"]

Spot = tuple[float, str]  # a joined_at and a user


class Order(list[Spot]):
    """The spots of members: by ``joined_at``, and where that is equal by the users' code points."""

    @classmethod
    def of(cls, members: Mapping[str, Member]) -> Self:
        return cls(sorted((member.joined_at, user) for user, member in members.items()))

    def move(self, user: str, before: float | None, after: float | None) -> None:
        """Change the ``joined_at`` of *user*; None if they are not a member."""
        if before == after:
            return
        if before is not None:
            del self[bisect_left(self, (before, user))]
        if after is not None:
            insort(self, (after, user))

    def part(self, limit: int | None, after: Spot | None) -> list[str]:
        """Return the users behind the spot *after* (None: all), *limit* at most. No user needs to be at that spot."""
        start = 0 if after is None else bisect_right(self, after)
        return [user for _, user in self[start : None if limit is None else start + limit]]
