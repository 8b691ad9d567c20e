"""Parts that a socket gets when its page sends the first frame for one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

__all__ = ["OnDemand", "offer", "offered", "part_for"]


class OnDemand(ABC):
    """A part of a socket that is made with the first frame of its *kinds*, on any kind of page."""

    __slots__ = ()

    kinds: ClassVar[frozenset[str]]

    @classmethod
    @abstractmethod
    def beside(cls, socket: Any) -> Self:
        """Return a new part for *socket*."""

    @classmethod
    @abstractmethod
    async def check(cls, parts: Sequence[Self]) -> None:
        """Check access to all that *parts* show, every REAUTH_INTERVAL. Never raises, and does not take long."""

    @abstractmethod
    def user_is(self, user: Any) -> None:
        """Take in the visitor's *user* as just fetched (they are still logged in). The object may be shared by pages."""

    @abstractmethod
    def take_in(self, frame: dict[str, Any], size: int) -> None:
        """Take in a frame of one of the kinds, of *size* bytes; nothing else of it has been checked."""


_offered: dict[type[OnDemand], None] = {}


def offer(part: type[OnDemand]) -> type[OnDemand]:
    """Let every socket have a part of this class."""
    _offered[part] = None
    return part


def offered() -> Sequence[type[OnDemand]]:
    return tuple(_offered)


def part_for(kind: str) -> type[OnDemand] | None:
    """Return the class that is for frames of this *kind*, if there is one."""
    return next((part for part in _offered if kind in part.kinds), None)
