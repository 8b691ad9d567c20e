"""The wishes of pages on their way to the store: submitted, confirmed, and kept for a grace when a connection ends."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

from .audience import Audience, Viewer
from .outbox import Outbox

__all__ = ["Submissions"]

FOREVER = float("inf")


class Submissions:
    """Passes the wishes of a process's pages to its *outbox*; time is an argument.

    A user who may come back after their connection has ended stays present for a grace, and another page of the same
    user takes their ref over.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        # ref -> the page whose wish the store has not answered, and the audience of the group
        self._unsettled: dict[str, tuple[Viewer, Audience[Any] | None]] = {}
        self._fleeting: set[str] = set()  # refs that cannot come back after a lost connection
        self._waiting: dict[
            tuple[str, ...], dict[Viewer, float]
        ] = {}  # by key and user: ended pages in their grace
        # A heap; pages that were taken over are skipped.
        self._deadlines: list[tuple[float, int, Viewer]] = []
        self._numbers = count()

    # Wishes

    def submit(self, viewer: Viewer) -> None:
        """Give the outbox the wish of *viewer*, and drop its former presence."""
        wanted, submitted = viewer.wanted, viewer.submitted
        if submitted and (wanted is None or wanted.ref != submitted.ref):
            self._drop(submitted.ref)
            self._unsettled[submitted.ref] = viewer, viewer.audience
            viewer.submitted = submitted = None
        # A page gets its own join as news only if it knows the other members first.
        if wanted and viewer.served and (wanted != submitted or wanted.ref not in self._outbox.wanted):
            self._outbox.want(wanted.ref, wanted.wish)
            self._unsettled[wanted.ref] = viewer, viewer.audience
            (self._fleeting.discard if wanted.lasting else self._fleeting.add)(wanted.ref)
            viewer.submitted = wanted

    def settle(self) -> None:
        """Confirm wishes that the store has answered and the replica holds."""
        for ref, (viewer, audience) in list(self._unsettled.items()):
            submitted = viewer.submitted if viewer.submitted and viewer.submitted.ref == ref else None
            if self._outbox.settled(ref) and (audience is None or audience.shows(submitted)):
                del self._unsettled[ref]
                if viewer.submitted is None or viewer.submitted.ref not in self._unsettled:
                    viewer.confirm()

    def _drop(self, ref: str) -> None:
        self._fleeting.discard(ref)
        self._unsettled.pop(ref, None)
        self._outbox.drop(ref)

    # Ends

    def end(self, viewer: Viewer, grace: float, now: float) -> None:
        """End a page. A user who may come back stays present for *grace* seconds."""
        submitted = viewer.submitted
        if submitted is None:
            return
        stays = viewer.wanted is not None and viewer.wanted.ref == submitted.ref
        if grace and stays and submitted.lasting:
            self._waiting.setdefault(submitted.wish[:2], {})[viewer] = now + grace
            heappush(self._deadlines, (now + grace, next(self._numbers), viewer))
        else:
            self._drop(submitted.ref)

    def take_over(self, viewer: Viewer) -> bool:
        """Give *viewer* the ref of an ended page of its user, preferably with the same meta; return whether there was one.

        So a reload writes nothing.
        """
        wanted = viewer.wanted
        waiting = self._waiting.get(wanted.wish[:2]) if wanted else None
        if not (wanted and waiting):
            return False
        same = (one for one in waiting if one.submitted and one.submitted.wish.meta == wanted.wish.meta)
        before = next(same, next(iter(waiting)))
        self._stop_waiting(before)
        viewer.go_on_as(before)
        if before.submitted and (unsettled := self._unsettled.get(before.submitted.ref)):
            self._unsettled[before.submitted.ref] = viewer, unsettled[1]
        return True

    @property
    def due(self) -> float:
        """The time at which the next grace ends."""
        return self._deadlines[0][0] if self._deadlines else FOREVER

    def expire(self, now: float) -> None:
        """Let users leave whose grace is over."""
        while self._deadlines and self._deadlines[0][0] <= now:
            _, _, viewer = heappop(self._deadlines)
            if self._stop_waiting(viewer) and viewer.submitted:
                self._drop(viewer.submitted.ref)

    def _stop_waiting(self, viewer: Viewer) -> bool:
        who = viewer.submitted.wish[:2] if viewer.submitted else ()
        waiting = self._waiting.get(who, {})
        found = waiting.pop(viewer, None) is not None
        if not waiting:
            self._waiting.pop(who, None)
        return found

    def retire(self) -> Sequence[str]:
        """Forget all graces, as the lease ends; return the refs that must leave with it, as they cannot come back."""
        fleeting = tuple(self._fleeting)
        self._fleeting.clear()
        self._waiting.clear()
        self._deadlines.clear()
        return fleeting
