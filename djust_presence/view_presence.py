"""The presence of one live view: its identity, wishes, reads and callbacks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from django.utils.translation import gettext

from .calls import call, is_default
from .conf import checked_interval
from .errors import PresenceError
from .identity import checked_user, connection_id, encode_named, is_logged_in, username_of, visitor_id
from .keys import arguments_of, checked_key
from .rates import user_code
from .state.audience import Intent, overlay
from .state.listing import presences
from .state.metas import decode_meta, merged
from .state.outbox import Wish
from .state.records import Member, Step, StepKind, record
from .tracker import Refresh, Session, in_loop, lookup

__all__ = ["CALLBACKS", "TRACK", "WATCH", "Record", "ViewPresence", "scopes"]

logger = logging.getLogger("djust_presence")

TRACK, WATCH = "track", "watch"

CALLBACKS = {  # each with the argument of _on_presence_change that has the record
    StepKind.JOIN: ("handle_presence_join", "joins"),
    StepKind.LEAVE: ("handle_presence_leave", "leaves"),
    StepKind.UPDATE: ("handle_presence_update", "updates"),
}

Record = dict[str, Any]


class View(Protocol):
    """A view with ``PresenceMixin``, as its presence uses it."""

    request: Any
    presence_unique_per_connection: bool
    presence_refresh_interval: float
    online_count: int
    _presence_wish: str | None
    _presence_last: str | None

    def get_presence_key(self) -> str: ...
    def get_presence_user_id(self) -> str: ...
    def _on_presence_change(self, **kwargs: Any) -> Any: ...


# For hosts that keep the groups of several tenants apart: each returns a view's key with its tenant.
scopes: list[Callable[[Any, str], str]] = []


class ViewPresence:
    """The presence of *view*, which its host connects to a *session*. The view has the attributes that djust saves."""

    __slots__ = (
        "_alone",
        "_began",
        "_key",
        "_uncounted",
        "_username",
        "_visitor",
        "reads",
        "session",
        "view",
    )

    def __init__(self, view: View) -> None:
        self.view = view
        self.session: Session | None = None
        self.reads = False  # True if the view has read the group
        self._uncounted = False  # True if it tracked on a running loop, where the store could not be asked
        self._username = ""  # of a user who is logged in, as it was when the view was mounted
        self._visitor: str | None = None  # the id of the Django session, once it was looked for
        self._alone: str | None = None  # the id of this connection, if there is no other
        # Over HTTP:
        self._key: str | None = None  # of the group that the view tracks, or watches
        self._began = time.time()

    # For the host

    def connect(self, session: Session, alone: str | None = None) -> None:
        """Use *session* from here on, before the view is mounted; *alone* is an id of the connection, for visitors."""
        self.session, self._alone = session, alone

    def mounting(self) -> None:
        """Load session and user name before ``mount``, in a thread: async code could not."""
        user = getattr(self.view.request, "user", None)
        if is_logged_in(user):
            self._username = username_of(user)
        elif self.session:
            self._find_visitor()

    def mounted(self) -> None:
        """Count after ``mount``, in a thread, if an async mount could not ask the store."""
        if self._uncounted:
            self._uncounted = False
            self.view.online_count = self.count()

    def take_in(self, refresh: Refresh) -> None:
        """Give the view its news before it is rendered, in a thread if it has callbacks; only overridden ones are called."""
        changes: dict[str, list[Record]] = {"joins": [], "leaves": [], "updates": []}
        lists = not is_default(change := self.view._on_presence_change)
        for entry in refresh.entries:
            if not isinstance(entry, Step):
                self.call(self.view.handle_presence_event, entry.name, entry.payload)  # type: ignore[attr-defined]
            elif entry.what in CALLBACKS:
                name, kwarg = CALLBACKS[entry.what]
                if not is_default(callback := getattr(self.view, name)):
                    self.call(callback, _record(entry))
                if lists:
                    changes[kwarg].append(_record(entry))
        count = self.session.count() if self.session else self.view.online_count
        self.call(change, **changes, online_count=count)

    def call(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call user code; an error is logged."""
        with self._logged(callback):
            call(callback, *args, **kwargs)

    @contextmanager
    def _logged(self, callback: Callable[..., Any]) -> Iterator[None]:
        """Log an error in this block as one of *callback*, and go on after it."""
        try:
            yield
        except Exception:
            name = str(getattr(callback, "__qualname__", callback))
            user_code.log(logger.exception, "%s failed.", name, of=name)

    def listen(self, session: Session) -> None:
        """Set up *session* for the view's broadcasts and refresh interval, before it tracks or watches."""
        interval = checked_interval(type(self.view), self.view.presence_refresh_interval)
        session.listen(callable(getattr(self.view, "handle_presence_event", None)), interval)

    # Identity and key

    def visitor_id(self) -> str:
        """Return the id of a visitor who is not logged in: of their Django session, else of this connection."""
        if not self.view.presence_unique_per_connection and (visitor := self._find_visitor()):
            return visitor
        if self._alone is None:
            self._alone = connection_id()
        return self._alone

    def _find_visitor(self) -> str:
        """Return the id of the Django session, empty if there is none. Looked for once, as that may load the session."""
        if self._visitor is None:
            self._visitor = visitor_id(getattr(self.view.request, "session", None), self.session is None)
        return self._visitor

    def scoped(self, key: str) -> str:
        """Return *key* with the view's tenant; a key that already has it is returned unchanged."""
        for scope in scopes:
            key = scope(self.view, key)
        return key

    def checked_key(self) -> str:
        """Return the view's presence key. Raises ``PresenceKeyError``."""
        owner, arguments = type(self.view).__qualname__, arguments_of(self.view)
        key = checked_key(self.view.get_presence_key(), owner, arguments)
        return checked_key(self.scoped(key), owner, arguments)

    def read_key(self) -> str:
        """Return the key of the group that the view reads."""
        return (self.session.key if self.session else self._key) or self.checked_key()

    def _checked_user(self) -> str:
        return checked_user(self.view.get_presence_user_id(), type(self.view).__qualname__)

    # Wishes

    def track(self, meta: Mapping[str, Any] | None) -> None:
        key, user = self.checked_key(), self._checked_user()
        text = self.encode(meta or {}, user)
        self.view._presence_wish, self.view._presence_last = TRACK, text
        self._key = key
        if self.session:
            self.listen(self.session)
            self.session.track(key, user, text, lasting=user != self._alone)

    def untrack(self) -> bool:
        """Untrack; return whether that changes the view's reads: djust calls this when a connection has ended, too."""
        if self.session and self.session.ended:
            return False
        changes = self.session is not None or self._has_reader
        if self.view._presence_wish:
            self.view._presence_wish = WATCH
        if self.session:
            self.session.untrack()
        return changes

    def update(self, changes: Mapping[str, Any]) -> None:
        wanted = self.session.wanted if self.session else None
        tracked = wanted if self.session else self.view._presence_wish == TRACK
        if not tracked:
            raise PresenceError("There is nothing to update: call track_presence() first.")
        meta = merged(decode_meta(self.view._presence_last or "").copy(), changes)
        text = self.encode(meta, wanted.wish.user if wanted else self._checked_user())
        self.view._presence_last = text
        if self.session and wanted:
            self.session.track(wanted.wish.key, wanted.wish.user, text, wanted.lasting)

    def watch(self) -> None:
        key = self.checked_key()
        if self.session:
            self.listen(self.session)
            self.session.watch(key)
            tracked = self.session.wanted is not None
        else:
            tracked = self.view._presence_wish == TRACK and self._key in (None, key)
        self._key = key
        if not tracked:
            self.view._presence_wish = WATCH

    def encode(self, meta: Mapping[str, Any], user_id: str) -> str:
        return encode_named(meta, getattr(self.view.request, "user", None), user_id, self._username)

    # Reads

    def recount(self) -> None:
        """Set ``online_count``; wait until after ``mount`` if the store would have to be asked in a running loop."""
        if not in_loop() or (self.session and self.session.served):
            self.view.online_count = self.count()
        else:
            self._uncounted = True
            self.view.online_count = self.session.count() if self.session else self._with_reader(0, None)

    @property
    def idle(self) -> bool:
        """True if the view reads the group, but has neither tracked nor watched."""
        return self.reads and not self.view._presence_wish

    def _read(self) -> tuple[str, Session | None]:
        """Return the key of the group to read, and the view's session if it can read it."""
        self.reads = True
        return self.read_key(), self.session if self.session and self.session.follows else None

    @property
    def _has_reader(self) -> bool:
        """True if this is a page over HTTP whose reader will be present once its socket is open.

        A view that was never set up, such as one of djust's inside another, has no socket.
        """
        return not self.session and self.view._presence_wish == TRACK and hasattr(self.view, "kwargs")

    @property
    def _reader(self) -> Intent | None:
        """Return the presence that the reader will have."""
        if not self._has_reader:
            return None
        wish = Wish(self.read_key(), self._checked_user(), self.view._presence_last or "")
        return Intent("", wish, True, self._began)

    def _with_reader(self, count: int, member: Member | None) -> int:
        """Return *count* with the reader, unless they are counted as *member* already."""
        return count + (self._has_reader and member is None)

    def records(self) -> list[Record]:
        key, session = self._read()
        if session:
            session.look(key)
            return presences(session.members(), gettext("Guest"))
        return presences(overlay(lookup.members(key), None, self._reader), gettext("Guest"))

    async def arecords(self) -> list[Record]:
        key, session = self._read()
        if session:
            await session.alook(key)
            return presences(session.members(), gettext("Guest"))
        return presences(overlay(await lookup.amembers(key), None, self._reader), gettext("Guest"))

    def count(self) -> int:
        key, session = self._read()
        if session:
            session.look(key)
            return session.count()
        if reader := self._reader:
            return self._with_reader(*lookup.count_and_member(key, reader.wish.user))
        return lookup.count(key)

    async def acount(self) -> int:
        key, session = self._read()
        if session:
            await session.alook(key)
            return session.count()
        if reader := self._reader:
            return self._with_reader(*await lookup.acount_and_member(key, reader.wish.user))
        return await lookup.acount(key)


def _record(step: Step) -> Record:
    return record(step.user, step.member, gettext("Guest"))
