"""The decision which request gets the next free worker. Pure: it knows nothing of threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sized
from enum import Enum, auto
from typing import Generic, NamedTuple, TypeVar

__all__ = ["MAX_WAITING_MOUNTS", "PER_VISITOR", "Ask", "Crowded", "Sender", "Turn", "Turns"]

PER_VISITOR = 3  # workers
NOT_FOR_MOUNTS = 3  # workers; the last of them is not for handlers either
MAX_WAITING_MOUNTS = 500


class Turn(Enum):
    """The kind of work that needs a worker. Refreshes go first; mounts and handlers take turns."""

    REFRESH = auto()  # one at a time: in parallel they would only compete for the interpreter
    LATE_REFRESH = auto()  # several at a time: the work that holds the workers is waiting, not computing
    MOUNT = auto()  # of a page that opens
    HANDLER = auto()  # and all other work


class Crowded(Exception):
    """Too many pages are waiting to be mounted."""


class Sender(NamedTuple):
    """The visitor for whom work is done: a *visitor* at a network *address*. Work for many has neither.

    Clients may lie about both: an address has one turn, however many visitors it claims to be.
    """

    address: str = ""
    visitor: Hashable = None


class Ask:
    """A request for a worker."""

    __slots__ = ("sender", "turn")

    def __init__(self, turn: Turn, sender: Sender) -> None:
        self.turn = turn
        self.sender = sender


AskT = TypeVar("AskT", bound=Ask)


class Turns(Generic[AskT]):
    """The requests for some *workers*: which of them wait, and which are granted next.

    Handlers leave one worker to refreshes, mounts and late refreshes two more to handlers. A visitor has at most three
    workers. Among those who wait for the same kind of work addresses take turns, and visitors of the same address. Not
    thread-safe.
    """

    def __init__(self, workers: int) -> None:
        self._free = workers
        self._most = max(1, workers - NOT_FOR_MOUNTS)  # mounts, and late refreshes
        self._mounts_first = True
        self._granted: Counter[Turn] = Counter()
        self._workers_of: Counter[Hashable] = Counter()
        self._waiting: dict[Turn, dict[str, dict[Hashable, dict[AskT, None]]]] = {turn: {} for turn in Turn}
        self._waiting_mounts = 0

    def add(self, ask: AskT) -> AskT | None:
        """Add *ask* to the waiting ones. If too many mounts wait, return the one to drop, which may be *ask*."""
        address, visitor = ask.sender
        self._waiting[ask.turn].setdefault(address, {}).setdefault(visitor, {})[ask] = None
        if ask.turn is not Turn.MOUNT:
            return None
        self._waiting_mounts += 1
        if self._waiting_mounts <= MAX_WAITING_MOUNTS:
            return None
        # The last one of the visitor who has the most, so that no visitor shuts others out.
        visitors = max(reversed(self._waiting[Turn.MOUNT].values()), key=_number)
        *_, last = max(reversed(visitors.values()), key=lambda asks: len(asks))
        self.remove(last)
        return last

    def remove(self, ask: AskT) -> None:
        """Drop *ask*, if it still waits."""
        waiting = self._waiting[ask.turn]
        address, visitor = ask.sender
        visitors = waiting.get(address, {})
        asks = visitors.get(visitor, {})
        if ask not in asks:
            return
        del asks[ask]
        if not asks:
            del visitors[visitor]
        if not visitors:
            del waiting[address]
        self._waiting_mounts -= ask.turn is Turn.MOUNT

    def next(self) -> AskT | None:
        """Grant a worker to the request whose turn it is, and return it; None if none can have one."""
        for turn in self._order():
            if self._may_take(turn) and (ask := self._first(turn)) is not None:
                self._grant(ask)
                return ask
        return None

    def release(self, ask: AskT) -> None:
        """Note that the worker of *ask* is free again."""
        self._free += 1
        self._granted[ask.turn] -= 1
        visitor = ask.sender.visitor
        if visitor is not None:
            self._workers_of[visitor] -= 1
            if not self._workers_of[visitor]:
                del self._workers_of[visitor]

    def _order(self) -> tuple[Turn, ...]:
        kinds = (Turn.MOUNT, Turn.HANDLER) if self._mounts_first else (Turn.HANDLER, Turn.MOUNT)
        return (Turn.REFRESH, Turn.LATE_REFRESH, *kinds)

    def _may_take(self, turn: Turn) -> bool:
        match turn:
            case Turn.REFRESH:
                return self._free > 0 and not self._granted[Turn.REFRESH]
            case Turn.LATE_REFRESH:
                return self._free > 0 and self._granted[turn] < self._most
            case Turn.MOUNT:
                return self._free > 1 and self._granted[turn] < self._most
            case Turn.HANDLER:
                return self._free > 1

    def _first(self, turn: Turn) -> AskT | None:
        for visitors in self._waiting[turn].values():
            for visitor, asks in visitors.items():
                if self._workers_of[visitor] < PER_VISITOR:
                    return next(iter(asks))
        return None

    def _grant(self, ask: AskT) -> None:
        self.remove(ask)
        address, visitor = ask.sender
        waiting = self._waiting[ask.turn]
        # This address goes to the end.
        if visitors := waiting.pop(address, {}):
            waiting[address] = visitors
        if asks := visitors.pop(visitor, {}):
            visitors[visitor] = asks
        self._free -= 1
        self._granted[ask.turn] += 1
        if visitor is not None:
            self._workers_of[visitor] += 1
        if ask.turn in (Turn.MOUNT, Turn.HANDLER):
            self._mounts_first = ask.turn is Turn.HANDLER


def _number(visitors: Mapping[Hashable, Sized]) -> int:
    return sum(map(len, visitors.values()))
