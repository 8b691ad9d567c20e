"""The cursors of a group as one process knows them, and the changes that pages and other processes have yet to get."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, NamedTuple

from ..keys import opaque_id
from ..state.metas import decode_meta
from ..state.records import Member
from .messages import PackedMoves, read_gone, read_moves
from .position import LONGEST_NAME, Position

__all__ = ["CursorFrame", "CursorState", "CursorStates"]


class CursorFrame(NamedTuple):
    """The content of a ``cursors`` frame; numbers stand for cursors."""

    who: dict[str, dict[str, Any]]  # number -> opaque id, name and colour of its user
    moves: list[list[Any]]  # number and position of each
    gone: list[int]
    users: frozenset[str]  # of the cursors in it; not sent

    def fields(self) -> dict[str, Any]:
        """Return the fields of the frame that are not empty."""
        fields = {"who": self.who, "moves": self.moves, "gone": self.gone}
        return {name: value for name, value in fields.items() if value}


class CursorState:
    """The cursor of one connection. *moved_at* is in seconds of the process's clock."""

    __slots__ = ("meta", "moved_at", "number", "opaque_id", "position", "step", "user", "who")

    def __init__(self, number: int, key: str, user: str) -> None:
        self.number = number
        self.user = user
        self.opaque_id = opaque_id(key, user)
        self.position = Position(0, 0)
        self.moved_at = 0.0
        self.step = 0  # rises with each move
        self.who: dict[str, Any] | None = None  # as last sent to pages; None: they do not draw this cursor
        self.meta: str | None = None  # that `who` was made from


class CursorStates:
    """The cursors of the group *key*; *find* returns the record of a user, or None if they are not present.

    Pages do not draw the cursor of a user who is not present. Times are seconds of the process's clock.
    """

    def __init__(self, key: str, find: Callable[[str], Member | None]) -> None:
        self._key = key
        self._find = find
        self._states: dict[str, CursorState] = {}  # by ref
        self._numbers = count(1)
        self._steps = count(1)
        self._changed: dict[str, None] = {}  # refs that pages have to be told about
        self._gone: list[CursorState] = []
        self._unsent: dict[str, None] = {}  # own refs that other processes have to be told about
        self._own: set[str] = set()

    def __len__(self) -> int:
        return len(self._states)

    @property
    def unsent(self) -> bool:
        """True if other processes have to be told something."""
        return bool(self._unsent)

    # Changes

    def move(self, ref: str, user: str, position: Position, now: float) -> None:
        """Move a cursor of this process, or add it."""
        self._set(ref, user, position, now, next(self._steps))
        self._own.add(ref)
        self._unsent[ref] = None

    def hear(self, moves: object, gone: object, now: float) -> None:
        """Apply a message of another process about its cursors, which may be late or a duplicate.

        Raises ``ValueError`` or ``TypeError`` for a malformed one, which then has no effect.
        """
        heard, left = read_moves(moves), read_gone(gone)
        for ref, (user, step, age, position) in heard.items():
            cursor = self._states.get(ref)
            if cursor is None or cursor.step < step:
                self._set(ref, user, position, now - age, step)
        for ref in left:
            self.remove(ref)

    def _set(self, ref: str, user: str, position: Position, at: float, step: int) -> None:
        cursor = self._states.get(ref)
        if cursor is None or cursor.user != user:
            self.remove(ref)
            cursor = self._states[ref] = CursorState(next(self._numbers), self._key, user)
        cursor.position, cursor.moved_at, cursor.step = position, at, step
        self._changed[ref] = None

    def remove(self, ref: str) -> CursorState | None:
        """Remove the cursor of *ref*, and return it; None if there is none."""
        cursor = self._states.pop(ref, None)
        if cursor is None:
            return None
        self._changed.pop(ref, None)
        if cursor.who is not None:
            self._gone.append(cursor)
        if ref in self._own:
            self._own.discard(ref)
            self._unsent[ref] = None
        return cursor

    def forget_others(self) -> None:
        """Remove the cursors of other processes."""
        for ref in self._states.keys() - self._own:
            self.remove(ref)

    def touch(self, users: Iterable[str]) -> None:
        """Mark the cursors of *users* as changed: these have come, left, or have another meta."""
        some = set(users)
        for ref, cursor in tuple(self._states.items()):
            if cursor.user in some:
                self._changed[ref] = None

    def expire(self, before: float) -> list[str]:
        """Remove the cursors that have not moved since *before*, and return their refs."""
        old = [ref for ref, cursor in self._states.items() if cursor.moved_at <= before]
        for ref in old:
            self.remove(ref)
        return old

    # Messages

    def news(self) -> CursorFrame:
        """Return what has changed since the last call, for pages that are up to date."""
        gone, self._gone = self._gone, []
        changed, self._changed = self._changed, {}
        who, moves, users = {}, [], {cursor.user for cursor in gone}
        numbers = [cursor.number for cursor in gone]
        for ref in changed:
            cursor = self._states[ref]
            before = cursor.who
            self._update_who(cursor)
            if cursor.who is None:
                self._changed[ref] = None  # kept until its user is present, or it is gone
                if before is None:
                    continue
                numbers.append(cursor.number)
            else:
                if cursor.who is not before:
                    who[str(cursor.number)] = cursor.who
                moves.append([cursor.number, *cursor.position.pack()])
            users.add(cursor.user)
        return CursorFrame(who, moves, numbers, frozenset(users))

    def everything(self) -> CursorFrame:
        """Return all cursors as of the last call of :meth:`news`, for pages that are not up to date."""
        drawn = [cursor for cursor in self._states.values() if cursor.who is not None]
        return CursorFrame(
            {str(cursor.number): cursor.who for cursor in drawn if cursor.who is not None},
            [[cursor.number, *cursor.position.pack()] for cursor in drawn],
            [],
            frozenset(cursor.user for cursor in drawn),
        )

    def unsent_moves(self, now: float) -> tuple[PackedMoves, list[str]]:
        """Return moves and gone refs since the last call, for other processes that have been told everything before."""
        unsent, self._unsent = self._unsent, {}
        gone = [ref for ref in unsent if ref not in self._states]
        return self._packed((ref for ref in unsent if ref in self._states), now), gone

    def own_moves(self, now: float) -> PackedMoves:
        """Return the cursors of this process, for other processes that may have missed some."""
        return self._packed(self._own, now)

    def _packed(self, refs: Iterable[str], now: float) -> PackedMoves:
        moves = {}
        for ref in refs:
            cursor = self._states[ref]
            age = round(now - cursor.moved_at, 3)
            moves[ref] = [cursor.user, cursor.step, max(age, 0), *cursor.position.pack()]
        return moves

    def latest(self) -> dict[str, CursorState]:
        """Return the cursor that moved last of each present user. For any thread."""
        found: dict[str, CursorState] = {}
        for cursor in sorted(self._states.values(), key=lambda cursor: cursor.moved_at):
            if self._find(cursor.user):
                found[cursor.user] = cursor
        return found

    def _update_who(self, cursor: CursorState) -> None:
        member = self._find(cursor.user)
        if member is None:
            cursor.who = cursor.meta = None
        elif member.meta != cursor.meta:
            meta = decode_meta(member.meta)
            texts = {"name": meta.name, "color": meta.values.get("color")}
            shown = {name: text[:LONGEST_NAME] for name, text in texts.items() if isinstance(text, str)}
            cursor.who, cursor.meta = {"id": cursor.opaque_id, **shown}, member.meta
