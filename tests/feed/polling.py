"""Polling pages for tests of the store's side, with a clock that tests move."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Any

from djust_presence.backends.base import Backend
from djust_presence.backends.memory import MemoryBackend
from djust_presence.feed.frames import Wants
from djust_presence.feed.polls import LeaseState, Mark, Times, lease_of
from djust_presence.feed.visits import Lost, Wish, end, visit

__all__ = ["LIST", "ClockedBackend", "Page"]

TIMES = Times.of(30)
LIST = Wants(people=True, fields=frozenset({"name"}))


class ClockedBackend(MemoryBackend):
    """The memory backend on a clock that stands still until a test moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def _now(self) -> float:
        return self.now


@dataclass
class Page:
    """A page that polls, as the client does: it sends back what it was told last."""

    backend: Backend
    user: str
    rooms: dict[str, str | None]  # the meta in each group; None where it only watches
    wants: Wants = LIST
    times: Times = TIMES
    id: str = field(default_factory=lambda: token_urlsafe(16))
    state: LeaseState | None = None
    marks: dict[str, Mark] = field(default_factory=dict)
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    begun: int = 0  # how often it had to begin again
    grace: float = 10.0  # for which it is present after it had to

    @property
    def lease(self) -> str:
        return lease_of(self.id, self.user)

    def wishes(self) -> list[Wish]:
        return [
            Wish(key, key, self.user, meta, self.wants, self.marks.get(key, Mark()))
            for key, meta in self.rooms.items()
        ]

    def poll(self, *leaving: str, reaps: bool = False) -> dict[str, dict[str, Any]]:
        """Poll once, and return the news. A page that is lost ends as the server says, and begins again."""
        for key in leaving:
            del self.rooms[key]
        first = self.state is None
        state = self.state or LeaseState(0, self.lease, frozenset())
        try:
            done = visit(
                self.backend,
                self.times,
                state,
                self.wishes(),
                {key: key for key in leaving},
                first=first,
                reaps=reaps,
            )
        except Lost:
            self.backend.drain(self.lease, self.grace)
            self.restart()
            self.begun += 1
            return self.poll(reaps=reaps)
        self.state = done.state
        for key, news in done.news.items():
            self.marks[key] = Mark.read(news["tag"])
            self.shown[key] = self.shown.get(key, {}) | news
        for key in leaving:
            self.shown.pop(key, None)
            self.marks.pop(key, None)
        return done.news

    def restart(self) -> None:
        self.id, self.state, self.marks = token_urlsafe(16), None, {}

    def bye(self, grace: float = 2) -> None:
        self.backend.drain(self.lease, grace)

    def log_out(self) -> None:
        if self.state:
            end(self.backend, self.state, {key: key for key in self.rooms})

    def names(self, key: str) -> list[str]:
        """The users that the page shows in the group, by the name in their metas."""
        return [person["name"] for person in self.shown[key]["members"]]
