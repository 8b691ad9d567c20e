"""Where the pointers of a group are, and what a page and another process have not been told of them yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple, TypeVar

from ..keys import opaque_id
from ..state.records import Member, decode_meta

__all__ = ["Moves", "Picture", "Pointer", "Pointers", "Position", "checked_coordinate"]

T = TypeVar("T")

NUMBERS = (int, float)
FARTHEST = 10_000_000  # CSS pixels; no page is so large
LONGEST_NAME = 128  # characters of a surface's or an anchor's name

Moves = Mapping[str, Sequence[Any]]  # ref -> user, step, age in seconds, position


def checked_coordinate(name: str, value: object) -> float:
    """*value*, if it is a finite number that could be on a page. Raises ``ValueError``."""
    if isinstance(value, int | float) and not isinstance(value, bool) and -FARTHEST <= value <= FARTHEST:
        return value
    raise ValueError(f"The coordinate {name} is not a finite number of at most {FARTHEST:,} pixels.")


class Position(NamedTuple):
    """A place on a surface: CSS pixels of the surface and its size, and the same of an element in it, the anchor.

    Without a size the pixels are not scaled. *touch*: a finger, which hides what it points at.
    """

    x: float
    y: float
    w: float | None = None
    h: float | None = None
    anchor: str | None = None
    ax: float | None = None
    ay: float | None = None
    aw: float | None = None
    ah: float | None = None
    surface: str | None = None
    touch: bool | None = None

    @classmethod
    def read(cls, frame: Mapping[str, Any]) -> Position:
        """The position in what a page has sent. Raises ``ValueError``."""
        anchor = _name(frame, "anchor")
        return cls(
            checked_coordinate("x", frame.get("x")),
            checked_coordinate("y", frame.get("y")),
            *_size(frame, "w", "h"),
            anchor,
            *(_inside(frame) if anchor else (None, None, None, None)),
            _name(frame, "surface"),
            frame.get("touch") is True or None,
        )

    def at(self, x: float, y: float) -> Position:
        """Another place on the same surface; an anchor is of no use there."""
        return (
            self
            if (x, y) == self[:2]
            else Position(x, y, self.w, self.h, surface=self.surface, touch=self.touch)
        )

    def pack(self) -> list[Any]:
        """Its fields in their order, without the empty ones at the end."""
        fields = list(self)
        while fields[-1] is None:
            fields.pop()
        return fields


def _size(frame: Mapping[str, Any], width: str, height: str) -> tuple[float | None, float | None]:
    if frame.get(width) is None and frame.get(height) is None:
        return None, None
    return checked_coordinate(width, frame.get(width)), checked_coordinate(height, frame.get(height))


def _inside(frame: Mapping[str, Any]) -> tuple[float | None, float | None, float | None, float | None]:
    x, y = checked_coordinate("ax", frame.get("ax")), checked_coordinate("ay", frame.get("ay"))
    return x, y, *_size(frame, "aw", "ah")


def _name(frame: Mapping[str, Any], field: str) -> str | None:
    name = frame.get(field)
    if name is None or (isinstance(name, str) and 0 < len(name) <= LONGEST_NAME):
        return name
    raise ValueError(f"The field {field} is not a name.")


def _checked(kind: type[T], value: object) -> T:
    if type(value) is kind:
        return value
    raise ValueError(f"A pointer's message has {type(value).__name__} where {kind.__name__} is due.")


def _read_move(user: object, step: object, age: Any, *packed: Any) -> tuple[str, int, float, Position]:
    """What `Pointers` tells other processes of one pointer. Raises ``ValueError`` or ``TypeError`` if it is not that."""
    position = Position(*packed)
    x, y, w, h, anchor, ax, ay, aw, ah, surface, touch = position
    for number in (x, y, age):
        if not (type(number) in NUMBERS and -FARTHEST <= number <= FARTHEST):
            raise ValueError("A pointer's message has no place, or no age.")
    if age < 0:
        raise ValueError("A pointer's message has an age below 0.")
    for number in (w, h, ax, ay, aw, ah):
        if number is not None and not (type(number) in NUMBERS and -FARTHEST <= number <= FARTHEST):
            raise ValueError("A pointer's message has a size that is not a number.")
    for name in (anchor, surface):
        if name is not None and type(name) is not str:
            raise ValueError("A pointer's message has a name that is not a text.")
    if touch is not None and touch is not True:
        raise ValueError("A pointer's message does not say whether it is a touch.")
    return _checked(str, user), _checked(int, step), age, position


class Picture(NamedTuple):
    """What pages are told: who the numbers are, where they are, and which are nowhere any more."""

    who: dict[str, dict[str, Any]]
    moves: list[list[Any]]
    gone: list[int]
    users: frozenset[str]  # those whom it is about


class Pointer:
    """One connection's pointer. *moved_at* is in seconds of the process's clock."""

    __slots__ = ("meta", "moved_at", "number", "opaque_id", "position", "step", "told", "user")

    def __init__(self, number: int, user: str, opaque_id: str) -> None:
        self.number = number  # what pages call it
        self.user = user
        self.opaque_id = opaque_id
        self.position = Position(0, 0)
        self.moved_at = 0.0
        self.step = 0  # rises with each move
        self.told: dict[str, Any] | None = None  # what pages know of its user; None: they do not see it
        self.meta: str | None = None  # from which that was made


class Pointers:
    """The pointers of the group *key* as one process knows them; *now* is an argument, *find* gives a present user.

    Nobody sees the pointer of somebody who is not present.
    """

    def __init__(self, key: str, find: Callable[[str], Member | None]) -> None:
        self._key = key
        self._find = find
        self._pointers: dict[str, Pointer] = {}
        self._numbers = count(1)
        self._steps = count(1)
        self._changed: dict[str, None] = {}  # refs: for the pages
        self._gone: list[Pointer] = []
        self._unsent: dict[str, None] = {}  # refs of this process: for the others
        self._ours: set[str] = set()

    def __len__(self) -> int:
        return len(self._pointers)

    @property
    def unsent(self) -> bool:
        """Whether the other processes do not know all that this one could tell."""
        return bool(self._unsent)

    # What happens

    def move(self, ref: str, user: str, position: Position, now: float) -> None:
        """A pointer of this process is there."""
        self._set(ref, user, position, now, next(self._steps))
        self._ours.add(ref)
        self._unsent[ref] = None

    def hear(self, moves: Moves, gone: Iterable[str], now: float) -> None:
        """What another process has said of its pointers, perhaps late, or for the second time.

        Raises ``ValueError`` or ``TypeError`` for what no process says, and takes nothing of it in.
        """
        heard = {ref: _read_move(*move) for ref, move in _checked(dict, moves).items()}
        left = [_checked(str, ref) for ref in _checked(list, gone)]
        for ref, (user, step, age, position) in heard.items():
            pointer = self._pointers.get(ref)
            if pointer is None or pointer.step < step:
                self._set(ref, user, position, now - age, step)
        for ref in left:
            self.remove(ref)

    def _set(self, ref: str, user: str, position: Position, at: float, step: int) -> None:
        pointer = self._pointers.get(ref)
        if pointer is None or pointer.user != user:
            self.remove(ref)
            pointer = self._pointers[ref] = Pointer(next(self._numbers), user, opaque_id(self._key, user))
        pointer.position, pointer.moved_at, pointer.step = position, at, step
        self._changed[ref] = None

    def remove(self, ref: str) -> Pointer | None:
        """The pointer is nowhere any more; it is returned if it was somewhere."""
        pointer = self._pointers.pop(ref, None)
        if pointer is None:
            return None
        self._changed.pop(ref, None)
        if pointer.told is not None:
            self._gone.append(pointer)
        if ref in self._ours:
            self._ours.discard(ref)
            self._unsent[ref] = None
        return pointer

    def forget_others(self) -> None:
        """What other processes have said is not known any more."""
        for ref in self._pointers.keys() - self._ours:
            self.remove(ref)

    def touch(self, users: Iterable[str]) -> None:
        """These users have come, left, or changed their meta."""
        some = set(users)
        for ref, pointer in tuple(self._pointers.items()):
            if pointer.user in some:
                self._changed[ref] = None

    def expire(self, before: float) -> list[str]:
        """Remove what has not moved since then; the refs of that."""
        old = [ref for ref, pointer in self._pointers.items() if pointer.moved_at <= before]
        for ref in old:
            self.remove(ref)
        return old

    # What is to be told

    def news(self) -> Picture:
        """For pages that have been told everything so far."""
        gone, self._gone = self._gone, []
        changed, self._changed = self._changed, {}
        who, moves, users = {}, [], {pointer.user for pointer in gone}
        numbers = [pointer.number for pointer in gone]
        for ref in changed:
            pointer = self._pointers[ref]
            told = pointer.told
            self._describe(pointer)
            if pointer.told is None:
                self._changed[ref] = None  # until its user is present, or it is gone
                if told is None:
                    continue
                numbers.append(pointer.number)
            else:
                if pointer.told is not told:
                    who[str(pointer.number)] = pointer.told
                moves.append([pointer.number, *pointer.position.pack()])
            users.add(pointer.user)
        return Picture(who, moves, numbers, frozenset(users))

    def everything(self) -> Picture:
        """For pages that know nothing, once :meth:`news` is told."""
        seen = [pointer for pointer in self._pointers.values() if pointer.told is not None]
        return Picture(
            {str(pointer.number): pointer.told for pointer in seen if pointer.told is not None},
            [[pointer.number, *pointer.position.pack()] for pointer in seen],
            [],
            frozenset(pointer.user for pointer in seen),
        )

    def unsent_moves(self, now: float) -> tuple[Moves, list[str]]:
        """For other processes that have been told everything so far: moves, and the refs that are nowhere."""
        unsent, self._unsent = self._unsent, {}
        gone = [ref for ref in unsent if ref not in self._pointers]
        return self._packed((ref for ref in unsent if ref in self._pointers), now), gone

    def our_moves(self, now: float) -> Moves:
        """For other processes that may know nothing: where the pointers of this one are."""
        return self._packed(self._ours, now)

    def _packed(self, refs: Iterable[str], now: float) -> Moves:
        moves = {}
        for ref in refs:
            pointer = self._pointers[ref]
            age = round(now - pointer.moved_at, 3)
            moves[ref] = [pointer.user, pointer.step, max(age, 0), *pointer.position.pack()]
        return moves

    def latest(self) -> dict[str, Pointer]:
        """By user the pointer that moved last, of those who are present. For any thread."""
        found: dict[str, Pointer] = {}
        for pointer in sorted(self._pointers.values(), key=lambda pointer: pointer.moved_at):
            if self._find(pointer.user):
                found[pointer.user] = pointer
        return found

    def _describe(self, pointer: Pointer) -> None:
        member = self._find(pointer.user)
        if member is None:
            pointer.told = pointer.meta = None
        elif member.meta != pointer.meta:
            meta = decode_meta(member.meta).values
            shown = {
                name: meta[name][:LONGEST_NAME]
                for name in ("name", "color")
                if isinstance(meta.get(name), str)
            }
            pointer.told, pointer.meta = {"id": pointer.opaque_id, **shown}, member.meta
