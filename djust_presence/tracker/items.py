"""Messages of other processes. Each item is checked as a whole before it has any effect."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..bus import NOTICES, Item
from ..keys import is_whole
from ..rates import LogLimit
from ..state.events import Event
from ..state.metas import read_meta
from ..state.records import Change, Member
from .group import Group

__all__ = ["Incoming", "read_change", "read_event"]

logger = logging.getLogger("djust_presence")

LATEST = 1e11  # epoch seconds, in the year 5138

_unreadable = LogLimit()


class Incoming:
    """Passes items to their *groups*, and notices to *notice*."""

    def __init__(self, groups: Mapping[str, Group], notice: Callable[..., None]) -> None:
        self._groups = groups
        self._notice = notice

    def hear(self, key: str, items: Sequence[Item | None]) -> None:
        """Take in the *items* of a message about the group *key*."""
        for item in items:
            try:
                if item is None:
                    raise ValueError("The item is nested too deeply, or has a number that is not finite.")
                self._take_in(key, *item)
            except Exception:  # of another version of this package, or of another program
                _unreadable.log(logger.exception, "Could not apply an item of another process.")

    def _take_in(self, key: str, kind: str, *rest: Any) -> None:
        if key == NOTICES:
            self._notice(kind, *rest)
        elif group := self._groups.get(key):
            if kind == "change":
                group.apply(read_change(key, rest))
            elif kind == "event":
                group.happened(read_event(rest))
            else:
                group.hear(kind, *rest)


def read_change(key: str, packed: Sequence[Any]) -> Change:
    """Return the Change of the group *key*. Raises ``ValueError`` or ``TypeError`` if it is malformed."""
    change = Change.unpack(key, packed)
    texts, numbers = [change.place.epoch, change.place.tag, change.prev], [change.place.version, change.count]
    if not (_all_are(str, texts) and _all_are(int, numbers)):
        raise ValueError("The place of the change is not one.")
    for user, member in change.records.items():
        if not is_whole(user):
            raise ValueError("A record of the change has no user.")
        if member is not None:
            _check(member)
    return change


def read_event(packed: Sequence[Any]) -> Event:
    """Return the broadcast. Raises ``ValueError`` if it is malformed."""
    match packed:
        case [str(name), payload]:
            return Event.of(name, payload)
    raise ValueError("An event has a name and a payload.")


def _check(member: Any) -> None:
    if not isinstance(member, Member) or type(member.connections) is not int:
        raise ValueError("A record of the change has no number of connections.")
    if type(member.joined_at) not in (int, float) or not 0 <= member.joined_at < LATEST:
        raise ValueError("A record of the change has no time.")
    if read_meta(member.meta) is None:
        raise ValueError("A record of the change has no meta.")


def _all_are(kind: type, values: Sequence[object]) -> bool:
    return all(type(value) is kind for value in values)
