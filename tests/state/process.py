"""A process: it carries the calls of its Keeper, and what other processes tell it, and decides nothing by itself."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from djust_presence.state.records import Change

from .sessions import Session, Sessions
from .words import OPS_PER_BATCH, TIMING, Request

if TYPE_CHECKING:
    from .world import World


class Process(Sessions):
    """It knows of the store only by the replies to its requests."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.keeper = world.pieces.keeper(
            self.outbox, self.replicas, TIMING, world.fresh, world.chance, OPS_PER_BATCH
        )
        self.net: list[Request] = []
        self.inbox: list[Change] = []
        self.awake = False  # something may have become due since the Keeper was asked last
        self.state = ""  # "paused", or "crashed"

    @property
    def waiting(self) -> bool:
        return any(request.awaited and not request.replica for request in self.net)

    @property
    def due(self) -> float:
        """When the Keeper is asked next, of whose calls one at a time is under way, or a grace is over."""
        keeper = inf if self.waiting else self.world.now if self.awake else self.keeper.due
        return min(keeper, self.submissions.due)

    def turn(self) -> None:
        self.submissions.expire(self.world.now)
        if not self.waiting:
            call = self.keeper.next(self.world.now)
            self.awake = call is not None
            if call:
                self.net.append(Request(call))
        self.submissions.settle()

    def answered(self, request: Request) -> None:
        self.awake = True
        call, replica = request.call, request.replica
        reply: Any = request.answers if call.verb == "write" else request.answers[0]
        if replica is None:
            for change in self.keeper.answered(call, reply, self.world.now):
                self.wrote(change)
                self.world.publish(change)
        elif self.replicas.get(call.args[0]) is replica:
            self.receive(call.args[0], reply)
        self.submissions.settle()

    def failed(self, request: Request) -> None:
        self.awake = True
        if request.replica:
            request.replica.failed()
        else:
            self.keeper.failed(request.call, self.world.now)

    def attach(self, session: Session) -> None:
        super().attach(session)
        self.awake = True
        self.keeper.start()
