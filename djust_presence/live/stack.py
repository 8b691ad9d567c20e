"""The elements that are open while HTML is read."""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from .syntax import INTEGRATION, PARTS, SCOPES

__all__ = ["Begun", "Open", "Printed", "Stack"]


class Printed(NamedTuple):
    """The output of a template tag: it begins and ends with the tags of one element, *name*."""

    start: int
    end: int  # where its end tag begins
    name: str


@dataclass(slots=True, eq=False)
class Open:
    """An element that has begun, and the place of its end."""

    name: str
    foreign: bool
    ended: int | None = field(default=None, kw_only=True)


@dataclass(slots=True, eq=False)
class Begun(Open):
    """A printed element that has begun."""

    printed: Printed


class Stack:
    """The elements that are open, the last one innermost, at the token that begins *at* there."""

    def __init__(self) -> None:
        self.stack: list[Open] = []
        self.at = 0

    @property
    def top(self) -> str:
        return self.stack[-1].name if self.stack and not self.stack[-1].foreign else ""

    @property
    def is_foreign(self) -> bool:
        return bool(self.stack) and self.stack[-1].foreign and self.stack[-1].name not in INTEGRATION

    @property
    def mode(self) -> str:
        """The part of a table, the select or the template whose rules apply."""
        names = (element.name for element in reversed(self.stack) if not element.foreign)
        return next((name for name in names if name in PARTS or name in {"table", "select", "template"}), "")

    def find(self, names: Collection[str], boundaries: Set[str] = SCOPES) -> int | None:
        """Return the index of the innermost open element of these names, None if one of *boundaries* is inside it."""
        for index in range(len(self.stack) - 1, -1, -1):
            element = self.stack[index]
            if element.foreign:
                if element.name in INTEGRATION and boundaries >= SCOPES:
                    return None
            elif element.name in names:
                return index
            elif element.name in boundaries:
                return None
        return None

    def pop(self, index: int | None, until: int | None = None) -> None:
        """End the open elements from *index* on; do nothing if that is None."""
        if index is None:
            return
        for element in self.stack[index:until]:
            element.ended = self.at
        del self.stack[index:until]
