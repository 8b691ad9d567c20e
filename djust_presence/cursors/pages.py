"""The pages of a group that draw cursors, and the frames that they are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from typing import Any

from ..keys import opaque_id
from ..tracker import Session, by_host
from .state import CursorFrame

__all__ = ["CursorPages"]


class Status(Enum):
    """The frames that a page has been sent."""

    NEW = auto()  # nothing, not even the id of its own user
    BEHIND = auto()  # not the last frame
    UP_TO_DATE = auto()


class PageState:
    """A page of *user*; None if its visitor is not present."""

    __slots__ = ("status", "user")

    def __init__(self, user: str | None) -> None:
        self.user = user
        self.status = Status.NEW


class CursorPages:
    """The pages in this process that draw the cursors of the group *key*. On the tracker's loop."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._pages: dict[Session, PageState] = {}
        self._sent_rate = 0

    def __len__(self) -> int:
        return len(self._pages)

    @property
    def behind(self) -> bool:
        """True if a page has yet to be sent something."""
        return any(page.status is not Status.UP_TO_DATE for page in self._pages.values())

    def has(self, session: Session, user: str | None) -> bool:
        """Return whether the page of *session* is here, as one of *user*."""
        page = self._pages.get(session)
        return page is not None and page.user == user

    def add(self, session: Session, user: str | None) -> None:
        self._pages[session] = PageState(user)

    def remove(self, session: Session) -> None:
        self._pages.pop(session, None)

    def send(self, news: CursorFrame, everything: Callable[[], CursorFrame], rate: int) -> None:
        """Send *news* to the pages that are up to date, *everything* to the others, and *rate* if that has changed."""
        changed: dict[str, Any] = {} if rate == self._sent_rate else {"rate": rate}
        self._sent_rate = rate
        up_to_date = [
            session
            for session, page in self._pages.items()
            if page.status is Status.UP_TO_DATE and (changed or not news.users <= {page.user})
        ]
        self._put(up_to_date, changed | news.fields())
        others = {
            session: page for session, page in self._pages.items() if page.status is not Status.UP_TO_DATE
        }
        if others:
            fields = {"rate": rate, "all": True, **everything().fields()}
            self._put([session for session, page in others.items() if page.status is Status.BEHIND], fields)
            for session, page in others.items():
                if page.status is Status.NEW:
                    you = opaque_id(self._key, page.user) if page.user else ""
                    self._put([session], {"you": you, **fields})

    def _put(self, sessions: Iterable[Session], fields: Mapping[str, Any]) -> None:
        for host, some in by_host(sessions).items():
            missed = set(host.put(some, host.encode("cursors", dict(fields))))
            for session in some:
                page = self._pages[session]
                if session not in missed:
                    page.status = Status.UP_TO_DATE
                elif page.status is Status.UP_TO_DATE:
                    page.status = Status.BEHIND
