"""What a view inherits: presence in a few methods and callbacks."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any
from uuid import uuid4

from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies
from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext

from .backends.registry import get_backend
from .bus import publish
from .calls import call
from .errors import PresenceError
from .keys import checked_key, fill_in, is_whole
from .state.records import Step, What, decode_meta, encode_meta, record, records
from .tracker import Refresh, Session, in_loop, lookup

__all__ = ["PresenceMixin"]

logger = logging.getLogger("djust_presence")

VISITOR = "_presence_visitor"  # in the session: a random token, which is all that others see of a visitor
TRACK, WATCH = "track", "watch"

CALLBACKS = {  # and under which argument of _on_presence_change the record is
    What.JOIN: ("handle_presence_join", "joins"),
    What.LEAVE: ("handle_presence_leave", "leaves"),
    What.UPDATE: ("handle_presence_update", "updates"),
}

Record = dict[str, Any]


class PresenceMixin:
    """Shows who else has a page open.

    ``presence_key`` names the group, filled in from the view's attributes and URL (``"document:{doc_id}"``); None is
    one group for the view's class. With ``presence_unique_per_connection`` every tab of somebody who is not logged
    in counts by itself. ``online_count`` is kept current.

    Tracking, untracking, updating and broadcasting never wait for the store: they are at once in what this view
    reads, and reach the others as soon as the store has answered.
    """

    presence_key: str | None = None
    presence_unique_per_connection: bool = False
    online_count: int = 0

    request: HttpRequest
    _presence: Session | None = None  # set by the host, on a live connection
    _presence_wish: str | None = None  # what was wished last: TRACK or WATCH
    _presence_last: str | None = None  # the meta that was tracked last
    _presence_uncounted = False  # tracked where the store could not be asked
    _presence_visitor: str | None = None  # the id of the session, once it was looked for
    _presence_alone: str | None = None  # the id of this connection, where there is no other

    # Who and where

    def get_presence_key(self) -> str:
        """The name of the group, 1 to 255 characters.

        Raises ``PresenceKeyError`` when a variable in ``presence_key`` is missing or None.
        """
        if self.presence_key is None:
            return self._presence_scoped(f"{type(self).__module__}.{type(self).__qualname__}")
        return self._presence_scoped(fill_in(self.presence_key, self))

    def get_presence_user_id(self) -> str:
        """Who this is to the others: the user's id, or what stands for somebody who is not logged in.

        That is the same in all tabs of their session: a random token that is kept in it, or a hash of its key. Where
        there is no session (nor can begin, on a socket), or with ``presence_unique_per_connection``, it is an id of
        this connection.
        """
        user = getattr(self.request, "user", None)
        if user is not None and user.is_authenticated:
            return str(user.pk)
        if not self.presence_unique_per_connection and (visitor := self._presence_find_visitor()):
            return visitor
        if self._presence_alone is None:
            self._presence_alone = f"anon_conn_{uuid4().hex}"
        return self._presence_alone

    def _presence_find_visitor(self) -> str:
        """The id of the session, or nothing where there is none. Looked for once, as that may load the session."""
        if self._presence_visitor is None:
            self._presence_visitor = _visitor(getattr(self.request, "session", None), self._presence is None)
        return self._presence_visitor

    # Wishes

    def track_presence(self, meta: Mapping[str, Any] | None = None) -> None:
        """Be present, with *meta* (JSON, at most 4 KB) for the others to see; again: with another meta.

        While a page is rendered over HTTP this only sets ``online_count``. Raises ``ValueError`` for a meta that is
        not JSON or too large, and ``PresenceKeyError``.
        """
        self._presence_track(meta)
        self._presence_recount()

    async def atrack_presence(self, meta: Mapping[str, Any] | None = None) -> None:
        self._presence_track(meta)
        self.online_count = await self.apresence_count()

    def untrack_presence(self) -> None:
        """Be no longer present, at once; the view goes on watching."""
        if self._presence_untrack():
            self._presence_recount()

    async def auntrack_presence(self) -> None:
        if self._presence_untrack():
            self.online_count = await self.apresence_count()

    def update_presence(self, **changes: Any) -> None:
        """Merge *changes* into one's own meta; None takes a key out. Nobody is told of a leave or a join.

        Raises ``PresenceError`` when nothing is tracked, and ``ValueError`` like :meth:`track_presence`.
        """
        if self._presence is None:
            return
        wanted = self._presence.wanted
        if wanted is None:
            raise PresenceError("There is nothing to update: call track_presence() first.")
        meta = decode_meta(wanted.wish.meta).copy() | changes
        text = self._presence_encode({key: value for key, value in meta.items() if value is not None})
        self._presence_last = text
        self._presence.track(wanted.wish.key, wanted.wish.user, text, wanted.lasting)

    async def aupdate_presence(self, **changes: Any) -> None:
        self.update_presence(**changes)

    def watch_presence(self) -> None:
        """See the group, and hear of its changes, without being counted."""
        self._presence_watch()
        self._presence_recount()

    async def awatch_presence(self) -> None:
        self._presence_watch()
        self.online_count = await self.apresence_count()

    def broadcast_to_presence(self, event: str, payload: Any = None) -> None:
        """Send *event* with *payload* (JSON) to every session of the group, this one included.

        It arrives as ``handle_presence_event(event, payload)`` where a view has that, and in the browser as a
        ``presence:<event>`` event on the document. Raises ``TypeError`` or ``ValueError`` for what is not JSON.
        While a page is rendered over HTTP it goes nowhere.
        """
        payload = json.loads(json.dumps(payload, allow_nan=False))
        if self._presence:
            self._presence.broadcast(self._presence_read_key(), event, payload)
        elif self.request.method == "POST":  # an event of a page that has no socket
            publish(get_backend(), self._presence_checked_key(), [["event", event, payload]])

    async def abroadcast_to_presence(self, event: str, payload: Any = None) -> None:
        self.broadcast_to_presence(event, payload)

    def _restore_presence(self) -> None:
        """Track again what was tracked last.

        A view whose state was restored for another connection, where it has wished nothing yet, does what it had done
        on that: who was watching, or had untracked, watches.
        """
        here = self._presence is not None and self._presence.key is not None
        if self._presence_last is not None and (here or self._presence_wish == TRACK):
            self.track_presence(decode_meta(self._presence_last).copy())
        elif self._presence_wish == WATCH:
            self.watch_presence()

    # Reads

    def list_presences(self) -> list[Record]:
        """The records of all who are present, oldest first: see the docs for what is in one."""
        key = self._presence_read_key()
        if session := self._presence_reader:
            session.look(key)
            return records(session.members(), gettext("Guest"))
        return records(lookup.members(key), gettext("Guest"))

    async def alist_presences(self) -> list[Record]:
        key = self._presence_read_key()
        if session := self._presence_reader:
            await session.alook(key)
            return records(session.members(), gettext("Guest"))
        return records(await lookup.amembers(key), gettext("Guest"))

    def presence_count(self) -> int:
        """How many users are present, in constant time."""
        key = self._presence_read_key()
        if session := self._presence_reader:
            session.look(key)
            return session.count()
        return lookup.count(key)

    async def apresence_count(self) -> int:
        key = self._presence_read_key()
        if session := self._presence_reader:
            await session.alook(key)
            return session.count()
        return await lookup.acount(key)

    # Callbacks

    def handle_presence_join(self, presence: Record) -> Any:
        """Somebody has come: once for each user, on every session of the group. It may be async, as all callbacks."""

    def handle_presence_leave(self, presence: Record) -> Any:
        """Somebody has left, with their last connection."""

    def handle_presence_update(self, presence: Record) -> Any:
        """Somebody's meta is another now."""

    def _on_presence_change(self, **kwargs: Any) -> Any:
        """Once per refresh, after the callbacks, with ``joins``, ``leaves``, ``updates`` and ``online_count``."""
        self.online_count = kwargs["online_count"]

    def _presence_refresh(self, refresh: Refresh) -> None:
        """Called by the host, in a thread, before it renders."""
        changes: dict[str, list[Record]] = {"joins": [], "leaves": [], "updates": []}
        for entry in refresh.entries:
            if not isinstance(entry, Step):
                handle: Callable[..., Any] = self.handle_presence_event  # type: ignore[attr-defined]
                self._presence_call(handle, entry.name, deepcopy(entry.payload))  # other views get it too
            elif entry.what in CALLBACKS:
                name, kwarg = CALLBACKS[entry.what]
                self._presence_tell(getattr(self, name), changes[kwarg], entry)
        count = self._presence.count() if self._presence else self.online_count
        self._presence_call(self._on_presence_change, **changes, online_count=count)

    def _presence_tell(self, callback: Callable[[Record], Any], told: list[Record], step: Step) -> None:
        told.append(record(step.user, step.member, gettext("Guest")))
        self._presence_call(callback, record(step.user, step.member, gettext("Guest")))

    @staticmethod
    def _presence_call(callback: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        try:
            call(callback, *args, **kwargs)
        except Exception:
            logger.exception("%s failed.", getattr(callback, "__qualname__", callback))

    # Helpers

    def _presence_mounting(self) -> None:
        """Called by the host, in a thread, before ``mount`` on a live connection: async code could load no session."""
        user = getattr(self.request, "user", None)
        if user is None or not user.is_authenticated:
            self._presence_find_visitor()

    def _presence_mounted(self) -> None:
        """Called by the host, in a thread, after ``mount``: an async one could not ask the store."""
        if self._presence_uncounted:
            self._presence_uncounted = False
            self.online_count = self.presence_count()

    def _presence_track(self, meta: Mapping[str, Any] | None) -> None:
        key, user = self._presence_checked_key(), self._presence_checked_user()
        text = self._presence_encode(meta or {})
        self._presence_wish, self._presence_last = TRACK, text
        if self._presence:
            self._presence_listen(self._presence)
            self._presence.track(key, user, text, lasting=user != self._presence_alone)

    def _presence_untrack(self) -> bool:
        """Whether this view has a say: at the end of its connection djust calls it, and that is no wish to leave."""
        if self._presence and self._presence.ended:
            return False
        if self._presence_wish:
            self._presence_wish = WATCH
        if self._presence:
            self._presence.untrack()
        return self._presence is not None

    def _presence_watch(self) -> None:
        key = self._presence_checked_key()
        if self._presence:
            self._presence_listen(self._presence)
            self._presence.watch(key)
        if not self._presence_wish or (self._presence and not self._presence.wanted):
            self._presence_wish = WATCH

    def _presence_encode(self, meta: Mapping[str, Any]) -> str:
        """With a name, which is always there (a guest's is filled in when it is read, in the reader's language)."""
        complete = json.loads(encode_meta(meta))
        user = getattr(self.request, "user", None)
        if user is not None and user.is_authenticated:
            complete["name"] = complete.get("name") or user.get_username()
            complete.setdefault("user_id", user.pk if isinstance(user.pk, int) else str(user.pk))
        return encode_meta(complete)

    def _presence_listen(self, session: Session) -> None:
        """Called by the view before it tracks or watches: what it wants to hear of."""
        session.listen(callable(getattr(self, "handle_presence_event", None)))

    def _presence_recount(self) -> None:
        if in_loop() and not (self._presence and self._presence.served):
            self._presence_uncounted = True
            self.online_count = self._presence.count() if self._presence else 0
        else:
            self.online_count = self.presence_count()

    @property
    def _presence_reader(self) -> Session | None:
        """The session that reads for this view; None where another read than that of its group is to be made."""
        return self._presence if self._presence and self._presence.follows else None

    def _presence_read_key(self) -> str:
        return (self._presence and self._presence.key) or self._presence_checked_key()

    def _presence_checked_key(self) -> str:
        owner = type(self).__qualname__
        return checked_key(self._presence_scoped(checked_key(self.get_presence_key(), owner)), owner)

    def _presence_scoped(self, key: str) -> str:
        """*key* where a host keeps those of several customers apart; again, it is the same."""
        return key

    def _presence_checked_user(self) -> str:
        user: object = self.get_presence_user_id()
        if user is None or user == "" or not is_whole(str(user)):
            raise PresenceError(
                f"get_presence_user_id() of {type(self).__qualname__} has returned {user!r}: return a text that is not "
                "empty, or what super() does."
            )
        return str(user)


def _visitor(session: Any, over_http: bool) -> str:
    """What others see of somebody who is not logged in: nothing that leads to the key of their *session*."""
    if session is None:
        return ""
    if VISITOR in session:
        return f"anon_{session[VISITOR]}"
    key = getattr(session, "session_key", None)
    if key and not isinstance(session, SignedCookies):
        # On a socket nothing can be put into a session that another page has begun, and so nothing is over HTTP.
        return f"anon_{salted_hmac('djust_presence.visitor', key, algorithm='sha256').hexdigest()[:32]}"
    if over_http:
        session[VISITOR] = uuid4().hex
        return f"anon_{session[VISITOR]}"
    return ""
