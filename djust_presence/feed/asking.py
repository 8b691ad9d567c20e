"""Periodic checks of the rights to rooms of open pages, for all pages of a loop together."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Protocol
from weakref import WeakKeyDictionary

from ..hosts import sessions
from ..hosts.access_failures import AT_ONCE, Failures
from ..hosts.threads import spawn
from ..hosts.workers import workers
from .rights import Answer, Right, answers

__all__ = ["Asking", "asking_of_loop"]


class Asker(Protocol):
    """A room whose right has to be checked."""

    @property
    def right(self) -> Right: ...
    @property
    def over(self) -> bool: ...
    def answered(self, code: str) -> None:
        """Take in the answer: the right stands if *code* is empty, else the room is refused with that code."""


class Asking:
    """The rooms of one loop that wait for an answer. One call in a thread checks all that wait when it begins.

    A room whose check fails stays open as long as checks of its kind fail for others too.
    """

    def __init__(self) -> None:
        self._waiting: dict[Asker, None] = {}
        self._asked: dict[Asker, None] = {}
        self._hops = 0
        self._failures = Failures("rooms")

    def ask(self, room: Asker) -> None:
        """Check *room*, unless a check of it waits or runs."""
        if room not in self._asked and room not in self._waiting:
            if not self._waiting:
                asyncio.get_running_loop().call_soon(self._begin)
            self._waiting[room] = None

    def _begin(self) -> None:
        if self._hops >= AT_ONCE:
            return
        rooms, self._waiting = [room for room in self._waiting if not room.over], {}
        if rooms:
            self._hops += 1
            self._asked.update(dict.fromkeys(rooms))
            spawn(self._hop(rooms))

    async def _hop(self, rooms: Sequence[Asker]) -> None:
        rights = [room.right for room in rooms]
        found: Sequence[Answer] = [RuntimeError("It was not asked.")] * len(rooms)
        try:
            found = await workers.run(partial(_answers, rights))
        except Exception as error:  # such as that of the thread's database connection
            found = [error] * len(rooms)
        finally:
            self._hops -= 1
            for room in rooms:
                del self._asked[room]
            for room, right, answer in zip(rooms, rights, found, strict=True):
                if not room.over:
                    self._take(room, right, answer)
            self._begin()

    def _take(self, room: Asker, right: Right, answer: Answer) -> None:
        kind = right.ticket.model
        if not isinstance(answer, Exception):
            self._failures.worked(room, kind)
            room.answered(answer)
        elif self._failures.failed(room, kind, f"of {right.ticket.key!r}", answer):
            room.answered("forbidden")
        else:
            room.answered("")


def _answers(rights: Sequence[Right]) -> Sequence[Answer]:
    """Check, in a thread, all rights together, but those of pages with surroundings inside these."""
    pages: dict[int, list[Right]] = defaultdict(list)
    for right in rights:
        pages[id(right.request) if right.surroundings else 0].append(right)
    found: dict[Right, Answer] = {}
    for some in pages.values():
        try:
            with (some[0].surroundings or nullcontext)():
                found |= zip(some, _finished(some), strict=True)
        except Exception as error:  # raised by the surroundings
            found |= dict.fromkeys(some, error)
    return [found[right] for right in rights]


def _finished(rights: Sequence[Right]) -> Sequence[Answer]:
    """Check, and close the sessions that were opened for it."""
    found = answers(rights)
    for number, right in enumerate(rights):
        try:
            sessions.finish(right.request)
        except Exception as error:
            found[number] = error
    return found


_asking: WeakKeyDictionary[asyncio.AbstractEventLoop, Asking] = WeakKeyDictionary()


def asking_of_loop() -> Asking:
    """Return the one of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _asking:
        _asking[loop] = Asking()
    return _asking[loop]
