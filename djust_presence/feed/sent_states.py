"""The states that the pages of a group have been sent, and their next frames. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from math import inf
from typing import Generic, NamedTuple, TypeVar

from ..hosts.outgoing import dumps
from ..state.records import Member
from .counts import Counts
from .dots import Dots
from .faces import Face, Faces, Ids, Members
from .frames import SentState, Wants, frame
from .lists import LONGEST, List
from .people import shown_count
from .tickets import room_of

__all__ = ["SENDS_PER_TURN", "SentStates"]

P = TypeVar("P", bound=Hashable)

SENDS_PER_TURN = 500  # to pages, before other tasks of the loop get a turn
PEOPLE_PER_SECOND = 20_000  # people in whole states, for one group in this process
FIRST_REST, LONGEST_REST = 0.05, 1.0  # seconds until the next try for a page that is still being sent to


Some = Sequence[tuple[P, SentState]]


class Frame(NamedTuple, Generic[P]):
    """A frame for some pages: the *whole* state, or the changes."""

    pages: Some[P]
    text: str
    whole: bool = False


class SentStates(Generic[P]):
    """The states of the pages of the group *key* in this process. *interval* is the time between two diffs, in seconds.

    Tell it of pages and of changes. When it is :attr:`due`, send the frames of :meth:`tell`, and report pages that
    could not be sent one to :meth:`missed`. Lists have *longest* people at most. A page gets the whole state first, then
    diffs; after a missed frame the whole state again.
    """

    def __init__(self, key: str, members: Members, interval: float, longest: int = LONGEST) -> None:
        self._key = key
        self._room = room_of(key)
        self._members = members
        self._interval = interval
        self._longest = longest
        self._pages: dict[P, SentState] = {}
        self._untold: dict[P, SentState] = {}  # pages that get the whole state
        self._ahead: dict[P, SentState] = {}  # those of them whose own presence the group does not hold yet
        self._ahead_moved = False
        self._touched = False  # True if pages have changed since their frames were made
        self._counts = Counts()
        self._counting = 0  # pages that get the number in count frames only
        self._quiet_until = self._states_from = 0.0
        self._forget_people()

    def _forget_people(self) -> None:
        self._ids = Ids(self._key, self._members)
        self._lists: dict[frozenset[str], List] = {}
        self._dots: dict[frozenset[str], Dots[P]] = {}
        self._showing = 0  # pages that show people
        self._moved: dict[str, None] = {}

    # Pages

    def show(self, page: P, wants: Wants, own: str | None = None, ahead: Member | None = None) -> None:
        """Send *page* what it *wants* from here on, the whole state first; do nothing if *wants* is the same object.

        *own* is the user that the page is present as. *ahead* is that presence as it will be, if the group does not
        hold it yet; the page sees it so.
        """
        before = self._pages.get(page)
        if before and before.wants is wants and (before.own, before.ahead) == (own, ahead):
            return
        self.remove(page)
        state = self._pages[page] = self._untold[page] = SentState(wants, own, ahead)
        self._counting += wants.number and not wants.people
        if ahead:
            self._ahead[page] = state
        if wants.people or wants.some:
            self._showing += 1
            faces = Faces(self._ids, wants.fields)
            if wants.people and wants.fields not in self._lists:
                self._lists[wants.fields] = List(faces, self._members, self._longest)
            state.list = self._lists[wants.fields] if wants.people else None
            if wants.some:
                self._dots.setdefault(wants.fields, Dots(faces, self._members)).add(page, wants.some)

    def remove(self, page: P) -> None:
        state = self._pages.pop(page, None)
        if state is None:
            return
        self._touched = True
        self._untold.pop(page, None)
        self._ahead.pop(page, None)
        self._counting -= state.wants.number and not state.wants.people
        if state.wants.some:
            self._dots[state.wants.fields].remove(page, state.wants.some)
        if state.wants.people or state.wants.some:
            self._showing -= 1
            if not self._showing:
                self._forget_people()

    # Changes

    def moved(self, users: Iterable[str]) -> None:
        """Note that these users have joined, left or changed."""
        if self._showing:
            self._moved.update(dict.fromkeys(users))
        if self._counting or any(shown.partial for shown in self._lists.values()):
            self._counts.moved(shown_count(self._members.count))
        # The states of these pages differ from those of others, and have changed.
        self._ahead_moved = bool(self._ahead)
        for state in self._ahead.values():
            state.due = 0.0

    @property
    def due(self) -> float:
        """The time at which :meth:`tell` may have frames; infinity if that takes a change."""
        first = min((state.due for state in self._untold.values()), default=inf)
        return min(max(first, self._states_due), self.news_due)

    @property
    def news_due(self) -> float:
        """The same for changes alone, in constant time."""
        news = self._quiet_until if self._moved else inf
        return min(news, self._states_due if self._ahead_moved else inf, self._counts.due)

    @property
    def _states_due(self) -> float:
        """The time at which whole states may be sent: after the changes."""
        return max(self._states_from, self._quiet_until if self._moved else 0.0)

    def tell(self, now: float) -> Iterator[tuple[list[P], str]]:
        """Yield pages and the frame to send them, at most `SENDS_PER_TURN` pages at a time.

        Between two of them pages may come and go, and users change; do not call it again before it ends.
        """
        frames: list[Frame[P]] = []
        if self._moved and self._quiet_until <= now:
            frames += self._diffs()
            if frames:
                self._quiet_until = now + self._interval
        if not self._moved and self._states_from <= now:
            frames += self._states(now)
        if self._counts.due <= now:
            frames += self._counted(now)
        self._touched = False
        for one in frames:
            for start in range(0, len(one.pages), SENDS_PER_TURN):
                some = one.pages[start : start + SENDS_PER_TURN]
                if self._touched:
                    some = [item for item in some if self._is_still(*item, one.whole)]
                if some:
                    yield [page for page, _ in some], one.text

    def _is_still(self, page: P, state: SentState, whole: bool) -> bool:
        return self._pages.get(page) is state and (whole or page not in self._untold)

    def missed(self, pages: Iterable[P], now: float) -> None:
        """Note that *pages* were still being sent to: they get the whole state when that is over."""
        for page in pages:
            if (state := self._pages.get(page)) is None:
                continue
            self._touched = True
            self._untold[page] = state
            state.rest = min(2 * state.rest, LONGEST_REST) or FIRST_REST
            state.due = now + state.rest

    # Frames

    def _diffs(self) -> list[Frame[P]]:
        """Take in the changes; return frames with the net change for the pages that show people."""
        users, self._moved = self._moved, {}
        frames: list[Frame[P]] = []
        listed: dict[frozenset[str], set[str]] = {}  # users whom lists show, or have shown
        for fields, shown in self._lists.items():
            listed[fields] = set(shown.shown)
            frames += self._list_diffs(shown, users)
            listed[fields].update(shown.shown)
        for fields, dots in self._dots.items():
            for diff in dots.refresh(users):
                asking = dots.pages(diff.id)
                pages = [(page, self._pages[page]) for page in asking if page not in self._untold]
                if diff.user in listed.get(fields, ()):
                    pages = [item for item in pages if not item[1].wants.people]
                frames.append(Frame(pages, frame("diff", self._room, people=diff.parts)))
        self._ids.moved(users)
        return [one for one in frames if one.pages]

    def _list_diffs(self, shown: List, users: Iterable[str]) -> Iterator[Frame[P]]:
        diff, untold = shown.refresh(users), self._untold
        if diff.empty and not shown.partial:
            return
        pages = [item for item in self._pages.items() if item[1].list is shown and item[0] not in untold]
        if diff.cut:
            cut = {self._ids.of(user) for user in diff.cut}
            for page, state in pages:
                if state.own in diff.cut or cut & state.wants.some:  # it goes on showing them
                    untold[page], state.due = state, 0.0
            pages = [item for item in pages if item[0] not in untold]
        if not diff.empty:
            count = self._members.count
            for _, state in pages if shown.partial else ():
                self._show(state, count)
            parts = {
                "joins": diff.joins,
                "updates": diff.updates,
                "leaves": [dumps(one) for one in diff.leaves],
            }
            changed = {name: texts for name, texts in parts.items() if texts}
            yield Frame(pages, frame("diff", self._room, count, diff.partial, changed))
        for user in users if shown.partial else ():  # its own person is in the page's list, if in no other
            member = self._members.member(user)
            if (
                member
                and user not in shown.shown
                and (own := [item for item in pages if item[1].own == user])
            ):
                yield Frame(
                    own, frame("diff", self._room, people={"updates": [shown.face(user, member).text]})
                )

    def _states(self, now: float) -> Iterator[Frame[P]]:
        """Yield frames of the whole state: one for all pages that see the same."""
        alike: dict[object, list[tuple[P, SentState]]] = {}
        for page, state in self._untold.items():
            if state.due <= now:
                alike.setdefault((state.wants, self._own(state), state.ahead), []).append((page, state))
        self._ahead_moved, people = False, 0
        for pages in alike.values():
            state = pages[0][1]
            count = self._members.count + (state.ahead is not None)
            for page, one in pages:
                one.due = inf
                if not one.ahead:
                    del self._untold[page]
                self._show(one, count)
            if state.wants.people or state.wants.some:
                texts = self._people(state)
                people += len(texts)
                partial = state.wants.people and self._lists[state.wants.fields].partial
                yield Frame(
                    pages, frame("state", self._room, count, partial or None, people={"members": texts}), True
                )
            else:
                yield Frame(pages, frame("state", self._room, count), True)
        self._states_from = now + people / PEOPLE_PER_SECOND

    def _own(self, state: SentState) -> str | None:
        """Return the page's user, if the page is sent another state of them than others are."""
        if state.ahead:
            return state.own
        cut = state.wants.people and state.own not in self._lists[state.wants.fields].shown
        return state.own if cut else None

    def _people(self, state: SentState) -> list[str]:
        """Return the people that the page shows, oldest first, as JSON."""
        wants, own = state.wants, self._own(state)
        more: dict[str, Face] = {}
        if wants.some:
            more = {face.order[1]: face for face in self._dots[wants.fields].shown(wants.some)}
        if own and (wants.people or self._ids.of(own) in wants.some):
            if member := state.ahead or self._members.member(own):
                more[own] = Faces(self._ids, wants.fields).of(own, member)
        if not wants.people:
            return [face.text for face in sorted(more.values())]
        shown = self._lists[wants.fields]
        return [*shown.texts, *[face.text for user, face in sorted(more.items()) if user not in shown.shown]]

    def _counted(self, now: float) -> Iterator[Frame[P]]:
        """Yield count frames for the pages that show another number, and get it in no other frame."""
        count = self._members.count
        text = shown_count(count)
        pages = [
            (page, state)
            for page, state in self._pages.items()
            if page not in self._untold and state.shown != text and self._is_counted(state.wants)
        ]
        for _, state in pages:
            state.shown = text
        self._counts.sent(text, len(pages), now)
        if pages:
            yield Frame(pages, frame("count", self._room, count))

    def _is_counted(self, wants: Wants) -> bool:
        return self._lists[wants.fields].partial if wants.people else wants.number

    def _show(self, state: SentState, count: int) -> None:
        state.shown = shown_count(count)
        self._counts.told(state.shown)
