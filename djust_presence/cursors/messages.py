"""Checks the messages of other processes about their cursors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from .position import FARTHEST, Position

__all__ = ["Move", "PackedMoves", "checked_announcement", "read_gone", "read_moves"]

T = TypeVar("T")

PackedMoves = Mapping[str, Sequence[Any]]  # ref -> user, step, age in seconds, the fields of the position
NUMBERS = (int, float)


class Move(NamedTuple):
    """A move of a cursor of another process, *age* seconds ago. *step* rises with each move."""

    user: str
    step: int
    age: float
    position: Position


def read_moves(packed: object) -> dict[str, Move]:
    """Return the moves in a message, by ref. Raises ``ValueError`` or ``TypeError`` if one is malformed."""
    return {ref: _read_move(*move) for ref, move in _checked(dict, packed).items()}


def read_gone(refs: object) -> list[str]:
    """Return the refs in a message whose cursors are gone. Raises ``ValueError`` if they are malformed."""
    return [_checked(str, ref) for ref in _checked(list, refs)]


def checked_announcement(process: object, looks: object, ask: object) -> tuple[str, bool, bool]:
    """Return the id of a process, whether it looks, and whether it asks the others. Raises ``ValueError``."""
    return _checked(str, process), _checked(bool, looks), _checked(bool, ask)


def _read_move(user: object, step: object, age: Any, *packed: Any) -> Move:
    position = Position(*packed)
    x, y, w, h, anchor, ax, ay, aw, ah, surface, touch = position
    for number in (x, y, age):
        if not (type(number) in NUMBERS and -FARTHEST <= number <= FARTHEST):
            raise ValueError("A cursor's message has no position, or no age.")
    if age < 0:
        raise ValueError("A cursor's message has an age below 0.")
    for number in (w, h, ax, ay, aw, ah):
        if number is not None and not (type(number) in NUMBERS and -FARTHEST <= number <= FARTHEST):
            raise ValueError("A cursor's message has a size that is not a number.")
    for name in (anchor, surface):
        if name is not None and type(name) is not str:
            raise ValueError("A cursor's message has a name that is not a text.")
    if touch is not None and touch is not True:
        raise ValueError("A cursor's message does not say whether it is a touch.")
    return Move(_checked(str, user), _checked(int, step), age, position)


def _checked(kind: type[T], value: object) -> T:
    if type(value) is kind:
        return value
    raise ValueError(f"A cursor's message has {type(value).__name__} where {kind.__name__} is due.")
