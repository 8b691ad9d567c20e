"""The group extension that sends news to the rooms of a group in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import inf
from typing import Any, Protocol

from ..hosts.outgoing import encode
from ..keys import opaque_id
from ..state.events import Event
from ..state.records import Member, Step
from ..tracker import Group, Session, by_host
from .frames import Wants
from .sent_states import SENDS_PER_TURN, SentStates
from .tickets import room_of

__all__ = ["GroupRooms", "Room"]

OWN_PRESENCE_WAIT = 5.0  # seconds for which a page waits for its own presence to be in the group
CLIENT = "client-"  # the prefix of events that pages have sent


class Room(Protocol):
    """A room of a page, as its session's option for this extension."""

    @property
    def wants(self) -> Wants: ...

    def put(self, text: str) -> None:
        """Send a frame when its turn comes."""


class GroupRooms:
    """The rooms of a group in this process, which are sent the news that their pages want. On the tracker's loop."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._clock = group.clock
        self._states: SentStates[Session] = SentStates(
            group.key, group.replica, group.settings.refresh_interval
        )
        self._rooms: dict[Session, Room] = {}
        # Sessions whose own presence the group does not hold yet, and until when they wait.
        self._waiting: dict[Session, float] = {}
        self._done_waiting: set[Session] = set()  # sessions that have waited long enough
        self._sender: Session | None = None  # of the event that is being broadcast
        self._timer: asyncio.TimerHandle | None = None
        self._telling = False
        self._not_before = 0.0

    # Sessions

    def add(self, session: Session, option: Room) -> None:
        """Add a session of the group, or take in its new wishes."""
        self._rooms[session] = option
        self._look_at(session)
        self._schedule(0)  # once for all sessions that are added meanwhile

    def remove(self, session: Session) -> None:
        self._rooms.pop(session, None)
        self._waiting.pop(session, None)
        self._done_waiting.discard(session)
        self._states.remove(session)

    def discard(self) -> None:
        """Stop: the group is no longer served."""
        if self._timer:
            self._timer.cancel()

    def _look_at(self, session: Session) -> None:
        """Begin to send the session news, once the group holds its presence or it has waited long enough."""
        wants, wanted = self._rooms[session].wants, session.wanted
        if not (wants.any and self._group.replica.ready):
            self._states.remove(session)
            return
        ahead = None
        if wanted and not self._holds(session):
            if session not in self._done_waiting:
                # Otherwise its page would show a count without itself, and a moment later one with itself.
                self._waiting.setdefault(session, self._clock.now + OWN_PRESENCE_WAIT)  # in their order
                return
            ahead = Member(1, wanted.at, wanted.wish.meta)
        else:
            self._waiting.pop(session, None)
            self._done_waiting.discard(session)
        self._states.show(session, wants, wanted and wanted.wish.user, ahead)

    def _holds(self, session: Session) -> bool:
        """Return whether the group holds the presence that the session wants."""
        wanted, confirmed = session.wanted, session.confirmed
        return bool(wanted and confirmed and confirmed.ref == wanted.ref) or bool(
            wanted and self._group.replica.member(wanted.wish.user)
        )

    # News

    def moved(self, steps: Sequence[Step]) -> None:
        """Take in changes of the members."""
        self._states.moved(step.user for step in steps)
        self._schedule(self._states.news_due)

    def _schedule(self, due: float) -> None:
        """Run at the time *due*, if no earlier run is scheduled."""
        due = max(due, self._not_before, self._clock.now)
        if self._telling or due == inf:
            return
        if self._timer:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._clock.later(due - self._clock.now, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        now = self._clock.now
        while self._waiting and (first := next(iter(self._waiting.items())))[1] <= now:
            del self._waiting[first[0]]
            self._done_waiting.add(first[0])
            self._look_at(first[0])
        if self._states.due <= now:
            self._telling = True
            self._clock.spawn(self._tell())
        else:
            self._wait()

    def _wait(self) -> None:
        self._schedule(min(self._states.due, next(iter(self._waiting.values()), inf)))

    async def _tell(self) -> None:
        sent = 0
        try:
            for sessions, text in self._states.tell(self._clock.now):
                for host, some in by_host(sessions).items():
                    self._states.missed(host.put(some, text), self._clock.now)
                sent += len(sessions)
                if sent >= SENDS_PER_TURN:
                    sent = 0
                    await asyncio.sleep(0)
        except Exception:
            self._not_before = self._clock.now + 1  # so that an error is not repeated at once
            raise
        finally:
            self._telling = False
            self._wait()

    # Events

    def send(self, session: Session, event: str, payload: Any) -> None:
        """Send an event of the session's page to all others of the group.

        Raises ``ValueError`` for a payload that has more than 32 levels.
        """
        wanted = session.wanted
        if wanted:
            content = {"from": opaque_id(self._group.key, wanted.wish.user), "payload": payload}
            self._sender = session
            try:
                session.broadcast(self._group.key, CLIENT + event, content)
            finally:
                self._sender = None

    def happened(self, event: Event) -> None:
        """Send a broadcast to the rooms."""
        if not self._rooms:
            return
        fields: dict[str, Any] = {"payload": event.payload}
        if event.name.startswith(CLIENT) and isinstance(fields["payload"], dict):
            match fields["payload"]:
                case {"from": str(sender), "payload": payload, **rest} if not rest:
                    fields = {"payload": payload, "from": sender}
        text = encode("room-event", room=room_of(self._group.key), event=event.name, **fields)
        others = [room for session, room in self._rooms.items() if session is not self._sender]
        self._put(others, text)

    def _put(self, rooms: Sequence[Room], text: str) -> None:
        """Send *text* to *rooms*, a few at a time."""
        for room in rooms[:SENDS_PER_TURN]:
            room.put(text)
        if rooms := rooms[SENDS_PER_TURN:]:
            self._clock.later(0, self._put, rooms, text)

    def hear(self, kind: str, *rest: Any) -> None:
        """Do nothing: other processes send no messages but changes and broadcasts."""
