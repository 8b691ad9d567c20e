"""``PresenceMixin``: presence in a live view, in a few methods and callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from .backends.registry import get_backend
from .bus import publish
from .calls import defaults, is_default
from .conf import checked_interval
from .keys import fill_in
from .state.events import Event
from .state.metas import decode_meta
from .state.records import Step
from .tracker import Refresh
from .view_presence import CALLBACKS, TRACK, WATCH, Record, ViewPresence

__all__ = ["PresenceMixin", "has_callbacks", "presence_of"]


class PresenceMixin:
    """Shows who else has a page open.

    ``presence_key`` names the group, filled in from the view's attributes and URL (``"document:{doc_id}"``); None is
    one group for the view's class. With ``presence_unique_per_connection`` every tab of somebody who is not logged
    in counts by itself. ``online_count`` is kept current. Changes by others refresh the page at most once in
    ``presence_refresh_interval`` seconds, if that is longer than ``REFRESH_INTERVAL``.

    Tracking, untracking, updating and broadcasting never wait for the store: they are at once in what this view
    reads, and reach the others as soon as the store has answered.
    """

    presence_key: str | None = None
    presence_unique_per_connection: bool = False
    presence_refresh_interval: float = 0
    online_count: int = 0

    request: HttpRequest
    _presence = cached_property(ViewPresence)
    _presence_wish: str | None = None  # the last wish, TRACK or WATCH. djust saves these two
    _presence_last: str | None = None  # the meta that was tracked last

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        checked_interval(cls, cls.presence_refresh_interval)
        ours = cls.__module__.startswith(f"{__package__}.")
        if apps.apps_ready and not ours and not apps.is_installed("djust_presence"):
            raise ImproperlyConfigured(
                f"{cls.__qualname__} is a PresenceMixin, but the app djust_presence is not installed, without which "
                "nobody is present: add 'djust_presence' to INSTALLED_APPS."
            )

    # Identity and key

    def get_presence_key(self) -> str:
        """Return the presence key of the group, 1 to 255 characters.

        Raises ``PresenceKeyError`` when a variable in ``presence_key`` is missing or None.
        """
        if self.presence_key is None:
            return self._presence.scoped(f"{type(self).__module__}.{type(self).__qualname__}")
        return self._presence.scoped(fill_in(self.presence_key, self))

    def get_presence_user_id(self) -> str:
        """Return the user id, that of the user or one for a visitor who is not logged in.

        The latter is the same in all tabs of a session: a random token that is kept in it, or a hash of its key. Where
        there is no session (a socket cannot begin one), or with ``presence_unique_per_connection``, it is an id of
        this connection.
        """
        user = getattr(self.request, "user", None)
        if user is not None and user.is_authenticated:
            return str(user.pk)
        return self._presence.visitor_id()

    # Wishes

    def track_presence(self, meta: Mapping[str, Any] | None = None) -> None:
        """Be present, with *meta* (JSON, at most 4 KB and 32 levels) that others see. A repeat replaces the meta.

        While a page is rendered over HTTP nothing is registered, but the view's reads include its reader. Raises
        ``ValueError`` for a meta that is not JSON or too large, and ``PresenceKeyError``.
        """
        self._presence.track(meta)
        self._presence.recount()

    async def atrack_presence(self, meta: Mapping[str, Any] | None = None) -> None:
        self._presence.track(meta)
        self.online_count = await self.apresence_count()

    def untrack_presence(self) -> None:
        """Stop being present, at once; the view goes on watching."""
        if self._presence.untrack():
            self._presence.recount()

    async def auntrack_presence(self) -> None:
        if self._presence.untrack():
            self.online_count = await self.apresence_count()

    def update_presence(self, **changes: Any) -> None:
        """Merge *changes* into the view's meta; None deletes a field. Others get an update, no leave or join.

        Raises ``PresenceError`` when nothing is tracked, and ``ValueError`` like :meth:`track_presence`.
        """
        self._presence.update(changes)

    async def aupdate_presence(self, **changes: Any) -> None:
        self.update_presence(**changes)

    def watch_presence(self) -> None:
        """Get the members and changes of the group without being counted."""
        self._presence.watch()
        self._presence.recount()

    async def awatch_presence(self) -> None:
        self._presence.watch()
        self.online_count = await self.apresence_count()

    def broadcast_to_presence(self, event: str, payload: Any = None) -> None:
        """Send *event* with *payload* (JSON) to every session of the group, this one included.

        It arrives as ``handle_presence_event(event, payload)`` where a view has that, and in the browser as a
        ``presence:<event>`` event on the document. Raises ``TypeError`` or ``ValueError`` for a payload that is not JSON, or
        has more than 32 levels. While a page is rendered over HTTP it is dropped, but in a
        POST it is sent.
        """
        if self._presence.session:
            self._presence.session.broadcast(self._presence.read_key(), event, payload)
            return
        item = Event.of(event, payload).item
        if self.request.method == "POST":  # djust's event of a page without a socket
            publish(get_backend(), self._presence.checked_key(), [item])

    async def abroadcast_to_presence(self, event: str, payload: Any = None) -> None:
        self.broadcast_to_presence(event, payload)

    def _restore_presence(self) -> None:
        """Repeat the last wish.

        A view whose state was restored for another connection, where it has no wish yet, tracks again with the same
        meta, or watches if it was watching or had untracked.
        """
        session = self._presence.session
        here = session is not None and session.key is not None
        if self._presence_last is not None and (here or self._presence_wish == TRACK):
            self.track_presence(decode_meta(self._presence_last).copy())
        elif self._presence_wish == WATCH:
            self.watch_presence()

    # Reads

    def list_presences(self) -> list[Record]:
        """Return the records of all users present, oldest first; the docs list the fields of one."""
        return self._presence.records()

    async def alist_presences(self) -> list[Record]:
        return await self._presence.arecords()

    def presence_count(self) -> int:
        """Return the number of users present, in constant time."""
        return self._presence.count()

    async def apresence_count(self) -> int:
        return await self._presence.acount()

    # Callbacks

    def handle_presence_join(self, presence: Record) -> Any:
        """Called when a user has joined: once for each, on every session of the group. Like all callbacks, it may be async."""

    def handle_presence_leave(self, presence: Record) -> Any:
        """Called when a user's last connection has left."""

    def handle_presence_update(self, presence: Record) -> Any:
        """Called when a user's meta has changed."""

    def _on_presence_change(self, **kwargs: Any) -> Any:
        """Called once per refresh, after the callbacks, with ``joins``, ``leaves``, ``updates`` and ``online_count``."""
        self.online_count = kwargs["online_count"]


defaults.update(
    {
        PresenceMixin.handle_presence_join,
        PresenceMixin.handle_presence_leave,
        PresenceMixin.handle_presence_update,
        PresenceMixin._on_presence_change,
    }
)


def presence_of(view: object) -> ViewPresence | None:
    """Return the presence of *view*, if it has the mixin: for its host."""
    return view._presence if isinstance(view, PresenceMixin) else None


def has_callbacks(view: PresenceMixin, refresh: Refresh) -> bool:
    """Return whether the news in *refresh* call code of the view's own."""
    return not is_default(view._on_presence_change) or any(
        not isinstance(entry, Step)
        or (entry.what in CALLBACKS and not is_default(getattr(view, CALLBACKS[entry.what][0])))
        for entry in refresh.entries
    )
