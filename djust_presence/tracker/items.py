"""Reads what other processes have sent about a group: checked as a whole before anything of it has an effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..state.audience import Event
from ..state.records import Change, Member, read_meta

__all__ = ["read_change", "read_event"]


def read_change(key: str, packed: Sequence[Any]) -> Change:
    """Return the Change of the group *key*. Raises ``ValueError`` or ``TypeError`` if it is none."""
    change = Change.unpack(key, packed)
    texts, numbers = [change.place.epoch, change.place.tag, change.prev], [change.place.version, change.count]
    if not (_all_are(str, texts) and _all_are(int, numbers)):
        raise ValueError("The place of the change is not one.")
    for member in change.records.values():
        if member is not None:
            _check(member)
    return change


def read_event(packed: Sequence[Any]) -> Event:
    """Return the broadcast. Raises ``ValueError`` if it is none."""
    match packed:
        case [str(name), payload]:
            return Event(name, payload)
    raise ValueError("An event has a name and a payload.")


def _check(member: Any) -> None:
    if not isinstance(member, Member) or type(member.connections) is not int:
        raise ValueError("A record of the change has no number of connections.")
    if type(member.joined_at) not in (int, float) or read_meta(member.meta) is None:
        raise ValueError("A record of the change has no time, or no meta.")


def _all_are(kind: type, values: Sequence[object]) -> bool:
    return all(type(value) is kind for value in values)
