"""The live cursors of a group in one process: moves come in one by one, and go out all together, once a tick."""

from __future__ import annotations

import time
from asyncio import TimerHandle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any

from ..keys import opaque_id
from ..state.records import Step, decode_meta
from ..tracker import Group, Session, by_host
from .pointers import Moves, Picture, Pointers, Position
from .positions import Cursor, Place
from .saving import Saving

__all__ = ["Hub", "hub_of"]

MOVES_PER_SECOND = 2_000  # of all cursors, to one page: some 60 KB
TURNS_PER_SECOND = 7_500  # moves taken in and frames sent, for one group in this process
SECOND = 1.0  # between writes to the cache, and between looks for pointers that are too old
LONGEST_REST = 0.25  # seconds that a late tick makes the next one wait, and so leaves to others
READ_INTERVAL = 0.5  # seconds between renderings of a template with cursors
MISSED = 3  # announcements, and a process is believed not to look any more


class Knows(Enum):
    """What a page knows of the cursors."""

    NOTHING = auto()  # not even who it is to the others
    OLD = auto()  # it missed something
    ALL = auto()


class Page:
    """A page that shows cursors, to somebody who is present as *user*."""

    __slots__ = ("knows", "user")

    def __init__(self, user: str | None) -> None:
        self.user = user
        self.knows = Knows.NOTHING


class Hub:
    """What a group does about cursors. On the tracker's loop, but for :meth:`read`.

    The first move after stillness goes out at once, later ones with the next tick: one frame for all pages here,
    and one message for all other processes if anybody there looks. A page that is still being sent to is left
    out, and then told everything.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._clock = group.clock
        self._bus = group.bus
        self._settings = group.settings
        self._pointers = Pointers(group.key, group.replica.member)
        self._refs: dict[Session, str] = {}  # whose pointers are somewhere
        self._pages: dict[Session, Page] = {}
        self._readers: dict[Session, None] = {}
        self._elsewhere: dict[str, float] = {}  # processes that look, and until when that is believed
        self._saving = Saving(group.key)
        self._wanted_rate = 1.0
        self._told_rate = 0
        self._due = self._quiet_until = self._announce_at = 0.0
        self._rest = 0.0  # before pages that still were being sent to are tried again
        self._tick_timer: TimerHandle | None = None
        self._age_timer: TimerHandle | None = None
        self._read_timer: TimerHandle | None = None
        self._announce(ask=True)

    # Sessions

    def add(self, session: Session, option: int) -> None:
        """A session of the group, or its wishes have changed; *option* is how many frames it wants a second."""
        intent = session.wanted
        if session in self._refs and (intent is None or intent.ref != self._refs[session]):
            self._hide(session)
        user, page = intent and intent.wish.user, self._pages.get(session)
        self._wanted_rate = max(self._wanted_rate, option)
        if session.shows_cursors and (page is None or page.user != user):
            with self._looking():
                self._pages[session] = Page(user)
        self._schedule()  # its person may be known only by now

    def remove(self, session: Session) -> None:
        """It is no longer of the group."""
        self._hide(session)
        with self._looking():
            self._pages.pop(session, None)
            self._readers.pop(session, None)

    def discard(self) -> None:
        """The group is no longer served."""
        for timer in (self._tick_timer, self._age_timer, self._read_timer):
            if timer is not None:
                timer.cancel()

    # What happens

    def move(self, session: Session, position: Position | None) -> None:
        """The session's pointer is there, or (None) nowhere. Who is not present has none."""
        intent = session.wanted
        if position is None or intent is None:
            self._hide(session)
        elif session.group is self._group and intent.wish.key == self._group.key:
            if self._refs.get(session, intent.ref) != intent.ref:  # it was another until just now
                self._hide(session)
            self._refs[session] = intent.ref
            self._pointers.move(intent.ref, intent.wish.user, position, self._clock.now)
            self._saving.moved(intent.wish.user)
            self._schedule()
            self._watch_age()

    def read(self, session: Session) -> dict[str, Cursor]:
        """The cursors by user, for a view that is to be rendered again when they move. From any thread."""
        if session not in self._readers:
            self._clock.call(self._add_reader, session)
        now, at = self._clock.now, time.time()
        cursors: dict[str, Cursor] = {}
        for user, pointer in self._pointers.latest().items():
            if member := self._group.replica.member(user):
                x, y, *_ = pointer.position
                timestamp = at - (now - pointer.moved_at)
                cursors[user] = {
                    "x": x,
                    "y": y,
                    "timestamp": timestamp,
                    "meta": decode_meta(member.meta).copy(),
                }
        return cursors

    def moved(self, steps: Iterable[Step]) -> None:
        """Somebody has come or left, or has another meta."""
        if len(self._pointers):
            self._pointers.touch(step.user for step in steps)
            self._schedule()

    def hear(self, kind: str, *rest: Any) -> None:
        """What another process says: where its pointers are, or whether it looks."""
        if kind == "cursors":
            self._hear_moves(*rest)
        elif kind == "looking":
            self._hear_looking(*rest)

    def _add_reader(self, session: Session) -> None:
        if session.open and session.group is self._group:
            with self._looking():
                self._readers[session] = None

    def _hide(self, session: Session) -> None:
        ref = self._refs.pop(session, None)
        if ref is not None and (pointer := self._pointers.remove(ref)):
            self._saving.moved(pointer.user)
            self._schedule()
            self._watch_age()

    # The tick

    def _schedule(self, rest: float = 0.0) -> None:
        now = self._clock.now
        due = max(now + rest, self._quiet_until)
        if self._tick_timer is not None:
            if self._due <= due:
                return
            self._tick_timer.cancel()
        self._due = due
        self._tick_timer = self._clock.later(due - now, self._tick)

    def _tick(self) -> None:
        self._tick_timer = None
        now, rate = self._clock.now, self._rate()
        late = min(now - self._due, LONGEST_REST)  # there is too much to do
        self._quiet_until = now + max(1 / rate, late)
        news = self._pointers.news()
        self._tell_pages(news, round(rate))
        self._tell_processes(now)
        if self._readers and (news.moves or news.gone) and self._read_timer is None:
            self._read_timer = self._clock.later(READ_INTERVAL, self._render)
        if self._pointers.unsent:
            self._schedule()
        elif any(page.knows is not Knows.ALL for page in self._pages.values()):
            self._rest = 1 / rate if news.moves or news.gone else max(1 / rate, min(2 * self._rest, SECOND))
            self._schedule(self._rest)

    def _rate(self) -> float:
        """Ticks a second: fewer, the more there is to do at each."""
        pointers, turns = len(self._pointers) or 1, len(self._refs) + len(self._pages) or 1
        return max(1.0, min(self._wanted_rate, MOVES_PER_SECOND / pointers, TURNS_PER_SECOND / turns))

    def _tell_pages(self, news: Picture, rate: int) -> None:
        changed: dict[str, Any] = {} if rate == self._told_rate else {"rate": rate}
        self._told_rate = rate
        up_to_date = [
            session
            for session, page in self._pages.items()
            if page.knows is Knows.ALL and (changed or not news.users <= {page.user})
        ]
        self._send(up_to_date, changed | _fields(news))
        behind = {session: page for session, page in self._pages.items() if page.knows is not Knows.ALL}
        if behind:
            fields = {"rate": rate, "all": True, **_fields(self._pointers.everything())}
            self._send([session for session, page in behind.items() if page.knows is Knows.OLD], fields)
            for session, page in behind.items():
                if page.knows is Knows.NOTHING:
                    you = opaque_id(self._group.key, page.user) if page.user else ""
                    self._send([session], {"you": you, **fields})

    def _send(self, sessions: Iterable[Session], fields: Mapping[str, Any]) -> None:
        for host, some in by_host(sessions).items():
            missed = set(host.put(some, host.encode("cursors", dict(fields))))
            for session in some:
                page = self._pages[session]
                if session not in missed:
                    page.knows = Knows.ALL
                elif page.knows is Knows.ALL:
                    page.knows = Knows.OLD

    def _render(self) -> None:
        self._read_timer = None
        for session in self._readers:
            session.refresh()

    # Other processes

    def _tell_processes(self, now: float) -> None:
        if not self._pointers.unsent or self._bus.waits(self._group.key):
            return
        moves, gone = self._pointers.unsent_moves(now)
        if self._is_looked_at(now):
            self._publish("cursors", moves, gone)

    def _tell_all_moves(self, now: float) -> None:
        if self._refs and self._is_looked_at(now):
            self._publish("cursors", self._pointers.our_moves(now), [])

    def _is_looked_at(self, now: float) -> bool:
        """Whether any other process looks."""
        return any(until > now for until in self._elsewhere.values())

    def _hear_moves(self, moves: Moves, gone: Sequence[str]) -> None:
        if self._looks:
            self._pointers.hear(moves, gone, self._clock.now)
            self._schedule()
            self._watch_age()

    def _hear_looking(self, process: object, looks: object, ask: object) -> None:
        if not (isinstance(process, str) and isinstance(looks, bool) and isinstance(ask, bool)):
            raise ValueError("It is not said which process looks at cursors.")
        now = self._clock.now
        known = self._elsewhere.pop(process, 0.0) > now
        if looks:
            self._elsewhere[process] = now + MISSED * self._settings.renew_interval
            if not known:
                self._tell_all_moves(now)
        if ask and self._looks:
            self._announce()

    @property
    def _looks(self) -> bool:
        return bool(self._pages or self._readers)

    @contextmanager
    def _looking(self) -> Iterator[None]:
        """Say so, if by what happens in this block the process looks, or does not any more."""
        looked = self._looks
        yield
        if self._looks != looked:
            if looked:  # nobody will say which of these are gone
                self._pointers.forget_others()
            self._announce()
            self._watch_age()

    def _announce(self, *, ask: bool = False) -> None:
        """Whether this process looks; with *ask*, others are to say the same."""
        self._publish("looking", self._bus.id, self._looks, ask)

    def _publish(self, kind: str, *rest: Any) -> None:
        self._bus.publish(self._group.key, [[kind, *rest]])

    # The clock

    def _watch_age(self) -> None:
        if len(self._pointers) or self._saving.due:
            delay = SECOND
        elif self._looks:
            delay = self._settings.renew_interval
        else:
            return
        if self._age_timer is not None:
            if self._age_timer.when() <= self._clock.now + delay:
                return
            self._age_timer.cancel()
        self._age_timer = self._clock.later(delay, self._age)

    def _age(self) -> None:
        self._age_timer = None
        now = self._clock.now
        old = set(self._pointers.expire(now - self._settings.cursor_timeout))
        if old:
            self._refs = {session: ref for session, ref in self._refs.items() if ref not in old}
            self._schedule()
        self._saving.save(self._places)
        if now >= self._announce_at:
            self._announce_at = now + self._settings.renew_interval
            self._elsewhere = {process: until for process, until in self._elsewhere.items() if until > now}
            if self._looks:
                self._announce()
            self._tell_all_moves(now)
        self._watch_age()

    def _places(self, users: Iterable[str]) -> dict[str, Place | None]:
        """Where *users* are by now, for the cache."""
        latest = self._pointers.latest()
        places: dict[str, Place | None] = {}
        for user in users:
            pointer, member = latest.get(user), self._group.replica.member(user)
            places[user] = (*pointer.position[:2], member.meta) if pointer and member else None
        return places


def hub_of(session: Session) -> Hub | None:
    """The hub of the session's group, if that has one."""
    extension = session.group and session.group.extensions.get(Hub)
    return extension if isinstance(extension, Hub) else None


def _fields(picture: Picture) -> dict[str, Any]:
    """What of *picture* is not empty, as fields of a frame."""
    fields = {"who": picture.who, "moves": picture.moves, "gone": picture.gone}
    return {name: value for name, value in fields.items() if value}
