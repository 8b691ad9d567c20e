"""The live cursors of a group in one process."""

from __future__ import annotations

import time
from asyncio import TimerHandle
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ..state.metas import decode_meta
from ..state.records import Step
from ..tracker import Event, Group, Session
from .cache_writer import CacheWriter
from .messages import checked_announcement
from .pages import CursorPages
from .position import Position
from .processes import OtherProcesses
from .state import CursorStates
from .tracker import CachedCursor, Cursor

__all__ = ["LiveCursors", "live_cursors_of"]

MOVES_PER_SECOND = 2_000  # of all cursors, to one page: some 60 KB
TURNS_PER_SECOND = 7_500  # moves received and frames sent, for one group in this process
SECOND = 1.0  # between writes to the cache, and between searches for cursors that have expired
LONGEST_REST = 0.25  # seconds by which a late tick delays the next one, to leave time for other work
READ_INTERVAL = 0.5  # seconds between renderings of a template with cursors


class LiveCursors:
    """Collects the moves of a group's cursors and sends them once a tick. On the tracker's loop, but for :meth:`read`.

    The first move after a rest is sent at once, later ones with the next tick: in one frame to all pages here, and in
    one message to all other processes if any of them looks. A page that is still being sent to is left out, and later
    sent all cursors.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._clock = group.clock
        self._settings = group.settings
        self._cursors = CursorStates(group.key, group.replica.member)
        self._refs: dict[Session, str] = {}  # of the sessions that have a cursor
        self._pages = CursorPages(group.key)
        self._readers: dict[Session, None] = {}  # sessions whose views read cursors
        self._elsewhere = OtherProcesses(group)
        self._cache = CacheWriter(group.key)
        self._wanted_rate = 1.0
        self._due = self._quiet_until = self._announce_at = 0.0
        self._rest = 0.0  # seconds until the next frame for pages that are behind
        self._tick_timer: TimerHandle | None = None
        self._age_timer: TimerHandle | None = None
        self._read_timer: TimerHandle | None = None
        self._elsewhere.announce(False, ask=True)

    # Sessions

    def add(self, session: Session, option: int) -> None:
        """Add a session of the group, or take in its new wishes; *option* is the number of frames it wants a second."""
        intent = session.wanted
        if session in self._refs and (intent is None or intent.ref != self._refs[session]):
            self._hide(session)
        user = intent and intent.wish.user
        self._wanted_rate = max(self._wanted_rate, option)
        if session.shows_cursors and not self._pages.has(session, user):
            with self._announcing():
                self._pages.add(session, user)
        self._schedule()  # the session's user may have become known only now

    def remove(self, session: Session) -> None:
        """Remove a session that has left the group."""
        self._hide(session)
        with self._announcing():
            self._pages.remove(session)
            self._readers.pop(session, None)

    def discard(self) -> None:
        """Stop: the group is no longer served."""
        for timer in (self._tick_timer, self._age_timer, self._read_timer):
            if timer is not None:
                timer.cancel()

    # Events

    def move(self, session: Session, position: Position | None) -> None:
        """Move the session's cursor, or (None) remove it. Visitors who are not present have none."""
        intent = session.wanted
        if position is None or intent is None:
            self._hide(session)
        elif session.group is self._group and intent.wish.key == self._group.key:
            if self._refs.get(session, intent.ref) != intent.ref:  # another user tracks
                self._hide(session)
            self._refs[session] = intent.ref
            self._cursors.move(intent.ref, intent.wish.user, position, self._clock.now)
            self._cache.moved(intent.wish.user)
            self._schedule()
            self._watch_age()

    def read(self, session: Session) -> dict[str, Cursor]:
        """Return the cursors by user, and render the session's view again when they move. For any thread."""
        if session not in self._readers:
            self._clock.call(self._add_reader, session)
        now, at = self._clock.now, time.time()
        cursors: dict[str, Cursor] = {}
        for user, cursor in self._cursors.latest().items():
            if member := self._group.replica.member(user):
                cursors[user] = {
                    "x": cursor.position.x,
                    "y": cursor.position.y,
                    "timestamp": at - (now - cursor.moved_at),
                    "meta": decode_meta(member.meta).copy(),
                }
        return cursors

    def moved(self, steps: Iterable[Step]) -> None:
        """Take in changes of the members: users have come, left, or have another meta."""
        if len(self._cursors):
            self._cursors.touch(step.user for step in steps)
            self._schedule()

    def happened(self, event: Event) -> None:
        """Do nothing: broadcasts do not concern cursors."""

    def hear(self, kind: str, *rest: Any) -> None:
        """Take in a message of another process: moves of its cursors, or an announcement whether it looks."""
        if kind == "cursors":
            self._hear_moves(*rest)
        elif kind == "looking":
            self._hear_announcement(*checked_announcement(*rest))

    def _add_reader(self, session: Session) -> None:
        if session.open and session.group is self._group:
            with self._announcing():
                self._readers[session] = None

    def _hide(self, session: Session) -> None:
        ref = self._refs.pop(session, None)
        if ref is not None and (cursor := self._cursors.remove(ref)):
            self._cache.moved(cursor.user)
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
        late = min(now - self._due, LONGEST_REST)  # a sign that the process is busy
        self._quiet_until = now + max(1 / rate, late)
        news = self._cursors.news()
        self._pages.send(news, self._cursors.everything, round(rate))
        self._send_moves(now)
        if self._readers and (news.moves or news.gone) and self._read_timer is None:
            self._read_timer = self._clock.later(READ_INTERVAL, self._render)
        if self._cursors.unsent:
            self._schedule()
        elif self._pages.behind:
            self._rest = 1 / rate if news.moves or news.gone else max(1 / rate, min(2 * self._rest, SECOND))
            self._schedule(self._rest)

    def _rate(self) -> float:
        """Return the number of ticks a second: the more there is to do in each, the fewer."""
        cursors, turns = len(self._cursors) or 1, len(self._refs) + len(self._pages) or 1
        return max(1.0, min(self._wanted_rate, MOVES_PER_SECOND / cursors, TURNS_PER_SECOND / turns))

    def _render(self) -> None:
        self._read_timer = None
        for session in self._readers:
            session.refresh()

    # Other processes

    def _send_moves(self, now: float) -> None:
        if not self._cursors.unsent or self._elsewhere.busy:
            return
        moves, gone = self._cursors.unsent_moves(now)
        if self._elsewhere.look(now):
            self._elsewhere.send(moves, gone)

    def _send_all_moves(self, now: float) -> None:
        if self._refs and self._elsewhere.look(now):
            self._elsewhere.send(self._cursors.own_moves(now), [])

    def _hear_moves(self, moves: object, gone: object) -> None:
        if self._looks:
            self._cursors.hear(moves, gone, self._clock.now)
            self._schedule()
            self._watch_age()

    def _hear_announcement(self, process: str, looks: bool, ask: bool) -> None:
        now = self._clock.now
        if self._elsewhere.announced(process, looks, now):
            self._send_all_moves(now)
        if ask and self._looks:
            self._elsewhere.announce(self._looks)

    @property
    def _looks(self) -> bool:
        """True if a page here draws the cursors, or a view reads them."""
        return bool(self._pages or self._readers)

    @contextmanager
    def _announcing(self) -> Iterator[None]:
        """Tell the other processes if this one begins or ceases to look in this block."""
        looked = self._looks
        yield
        if self._looks != looked:
            if looked:  # other processes no longer tell it which of these go
                self._cursors.forget_others()
            self._elsewhere.announce(self._looks)
            self._watch_age()

    # The clock

    def _watch_age(self) -> None:
        if len(self._cursors) or self._cache.due:
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
        """Expire cursors, write to the cache, and with each renewal repeat announcements and positions."""
        self._age_timer = None
        now = self._clock.now
        old = set(self._cursors.expire(now - self._settings.cursor_timeout))
        if old:
            self._refs = {session: ref for session, ref in self._refs.items() if ref not in old}
            self._schedule()
        self._cache.write(self._latest)
        if now >= self._announce_at:
            self._announce_at = now + self._settings.renew_interval
            self._elsewhere.forget_silent(now)
            if self._looks:
                self._elsewhere.announce(True)
            self._send_all_moves(now)
        self._watch_age()

    def _latest(self, users: Iterable[str]) -> dict[str, CachedCursor | None]:
        """Return the cursors of *users* for the cache; None for a user who has none."""
        latest = self._cursors.latest()
        found: dict[str, CachedCursor | None] = {}
        for user in users:
            cursor, member = latest.get(user), self._group.replica.member(user)
            found[user] = (
                CachedCursor(cursor.position.x, cursor.position.y, member.meta) if cursor and member else None
            )
        return found


def live_cursors_of(session: Session) -> LiveCursors | None:
    """Return the live cursors of the session's group; None if it has none."""
    extension = session.group and session.group.extensions.get(LiveCursors)
    return extension if isinstance(extension, LiveCursors) else None
