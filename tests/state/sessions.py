"""The sessions of a process, each with the baseline from which it is told what happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from djust_presence.state.outbox import Outbox, Wish
from djust_presence.state.records import Step
from djust_presence.state.replica import Replica

from .words import HOLD

if TYPE_CHECKING:
    from .world import World


@dataclass(eq=False, slots=True)
class Session:
    """A connection. *seen*: who is there, as it was told, and whether they had been missed before; None: not yet told."""

    key: str
    user: str | None
    ref: str
    meta: str = "0"
    seen: dict[str, bool] | None = None
    joins: Counter[str] = field(default_factory=Counter)


class Sessions:
    """Who is connected to the process *name*, and what has been gathered to be told to them."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.replicas: dict[str, Replica] = {}
        self.outbox: Outbox = world.pieces.outbox(
            world.fresh, lambda key, user: self.replicas[key].member(user) if key in self.replicas else None
        )
        self.sessions: list[Session] = []
        self.news: dict[str, list[Step]] = {}

    def attach(self, session: Session) -> None:
        """From here on: what was gathered before is no news to a session that sees it already."""
        self.tell(session.key)
        self.sessions.append(session)
        if session.key not in self.replicas:
            self.replicas[session.key] = self.world.pieces.replica(HOLD)
        elif self.replicas[session.key].ready:
            self.welcome(session)

    def welcome(self, session: Session) -> None:
        """Only who has a baseline is told to the others, so that their own join comes after it."""
        missed = self.world.truth.missed
        session.seen = {user: (session.key, user) in missed for user in self.replicas[session.key].shown()}
        self.world.truth.welcomed(self.name, session)
        self.wish(session)

    def welcome_all(self, key: str) -> None:
        for session in self.sessions:
            if session.key == key:
                self.welcome(session)

    def wish(self, session: Session) -> None:
        if session.user and session.seen is not None:
            self.outbox.want(session.ref, Wish(session.key, session.user, session.meta))

    def moved(self, key: str, steps: list[Step]) -> None:
        if steps:
            self.news.setdefault(key, []).extend(steps)

    def tell(self, key: str) -> None:
        """Let the sessions of a group know what has been gathered for them."""
        for step in self.news.pop(key, []):
            for session in self.sessions:
                if session.key == key and session.seen is not None:
                    self.world.truth.told(self.name, session, step)
