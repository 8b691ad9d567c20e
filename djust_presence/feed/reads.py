"""The groups that one rendering reads: from memory where this process serves them, else by one read of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ..conf import on_change
from ..greenlets import holds_up
from ..state.records import Member
from ..tracker import in_loop, lookup, serving

__all__ = ["Reads"]

# Groups of up to so many members are read whole. 500 members take 2 to 4 ms from Redis, 10,000 take 180;
# one member, or the count, takes 0.1.
SMALL = 500
MOST_LARGE = 1_000

_large: dict[str, None] = {}  # the keys of groups that had more when this process last read them

HOLDS_UP = (
    "A template with presence was rendered in the event loop, where reading the store would hold up every other "
    'request: render it in a thread, as in await sync_to_async(render)(request, "page.html").'
)


class Reads:
    """The reads of one rendering. A small group is read whole, once; of a large one, only the parts asked for."""

    def __init__(self) -> None:
        self._whole: dict[str, Mapping[str, Member]] = {}
        self._counts: dict[tuple[str, str], tuple[int, Member | None]] = {}
        self._some: dict[str, dict[str, Member | None]] = {}

    def members(self, key: str) -> Mapping[str, Member]:
        """Return all members, none while the store does not answer.

        This and the other reads raise ``PresenceError`` in a running event loop.
        """
        _refuse_in_loop()
        if serving(key):
            return lookup.members(key)
        if key not in self._whole:
            self._whole[key] = found = lookup.members(key)
            _remember(key, len(found))
        return self._whole[key]

    def count_and_member(self, key: str, user: str) -> tuple[int, Member | None]:
        """Return the number of members, and *user* if they are one; an empty text is nobody."""
        _refuse_in_loop()
        if serving(key) or (key in _large and key not in self._whole):
            if (key, user) not in self._counts:
                found = lookup.count_and_member(key, user) if user else (lookup.count(key), None)
                self._counts[key, user] = found
                _remember(key, found[0])
            return self._counts[key, user]
        members = self.members(key)
        return len(members), members.get(user)

    def member(self, key: str, user: str, among: Callable[[], Iterable[str]] | None = None) -> Member | None:
        """Return *user* if they are a member. All users of *among* are read together with them."""
        _refuse_in_loop()
        if key in self._whole or not (among or key in _large or serving(key)):
            return self.members(key).get(user)
        known = self._some.setdefault(key, {})
        if user not in known:
            asked = dict.fromkeys([user, *(among() if among else ())])
            known |= lookup.some(key, [one for one in asked if one not in known])
        return known[user]

    def counts(self, keys: Sequence[str]) -> dict[str, int]:
        """Return how many are in each of the groups, by one read."""
        _refuse_in_loop()
        return lookup.counts(keys)


def _refuse_in_loop() -> None:
    """Raise ``PresenceError`` in a running loop, even if memory could answer: that depends on which users are online."""
    if in_loop():
        raise holds_up(HOLDS_UP)


def _remember(key: str, size: int) -> None:
    if size <= SMALL:
        _large.pop(key, None)
    else:
        if len(_large) >= MOST_LARGE:
            _large.clear()
        _large[key] = None


on_change(_large.clear)
