"""``PresenceConsumerMixin``: presence in a Channels consumer, for each key it names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

from channels.consumer import AsyncConsumer

from ..errors import PresenceError
from ..hosts.asgi import Scope, Send
from ..identity import is_logged_in
from ..keys import NoSuchGroup
from ..presence.arguments import Record
from ..tracker import Ending, will_serve
from .presence import HOOKS, ConsumerPresence

if TYPE_CHECKING:
    from asgiref.typing import ASGIReceiveCallable
    from channels.consumer import _ChannelScope

__all__ = ["PresenceConsumerMixin"]


class PresenceConsumerMixin(AsyncConsumer):
    """Lets a WebSocket consumer, sync or async, be present under keys of its choice, and hear of the others there.

    It comes before the consumer's class: ``class Chat(PresenceConsumerMixin, AsyncJsonWebsocketConsumer)``.

    Tracking, watching, updating and broadcasting never wait for the store. They may be called once the consumer has its
    scope, from async code and from threads, and take effect when the socket is accepted: one that is refused has never
    been present. Whatever ends the connection ends all presences of it.
    """

    _presence: ConsumerPresence | None = None
    _presence_hooks: frozenset[str] = frozenset()  # the hooks that the class overrides

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for kind in cls.__mro__[: cls.__mro__.index(PresenceConsumerMixin)]:
            if issubclass(kind, AsyncConsumer) and not issubclass(kind, PresenceConsumerMixin):
                raise TypeError(
                    f"PresenceConsumerMixin comes after {kind.__qualname__} in {cls.__qualname__}: name it first."
                )
        cls._presence_hooks = frozenset(
            name for name in HOOKS if getattr(cls, name) is not getattr(PresenceConsumerMixin, name)
        )

    @classmethod
    def as_asgi(cls, **kwargs: Any) -> Any:
        will_serve()
        return super().as_asgi(**kwargs)

    # Identity and access

    def get_presence_user_id(self) -> str:
        """Return the user id, by default from the user or session that Channels' middleware has put into the scope.

        That is the id of a user who is logged in; for a visitor, the id that live pages of the same session have;
        without a session an id of this connection.
        """
        user: Any = self.scope.get("user")
        if is_logged_in(user):
            return str(user.pk)
        presence = self._connected_presence
        return presence.visitor or presence.alone

    def still_allowed(self, user: Any) -> Any:
        """Return whether *user* may stay connected; it may be async. Asked every REAUTH_INTERVAL if it is overridden.

        *user* is that of the scope, with its fields as just fetched. If it returns False, the socket closes with 4403.
        """
        return True

    def access_context(self) -> AbstractContextManager[Any]:
        """Return a context in which to fetch the session and the user of the scope again every REAUTH_INTERVAL.

        It is entered in a thread. Projects with a schema or a database for each tenant need it.
        """
        return nullcontext()

    # Wishes

    def track_presence(self, key: str, meta: Mapping[str, Any] | None = None) -> None:
        """Be present under *key*, with *meta* (JSON, at most 4 KB and 32 levels) that others see. A repeat replaces it.

        Raises ``PresenceKeyError`` for a key that is not a text of 1 to 255 characters, and ``ValueError`` for a meta
        that is not JSON or too large.
        """
        self._connected_presence.track(key, meta or {})

    def untrack_presence(self, key: str) -> None:
        """Stop being present under *key*, at once; the consumer goes on watching."""
        self._connected_presence.untrack(key)

    def update_presence(self, key: str, /, **changes: Any) -> None:
        """Merge *changes* into the consumer's meta under *key*; None deletes a field. Others get an update, no leave or join.

        Raises ``PresenceError`` when nothing is tracked under *key*, and ``ValueError`` like :meth:`track_presence`.
        """
        self._connected_presence.update(key, changes)

    def watch_presence(self, key: str) -> None:
        """Get the callbacks of the group *key* without being counted."""
        self._connected_presence.watch(key)

    def unwatch_presence(self, key: str) -> None:
        """Stop being present under *key*, at once, and get no more callbacks for it."""
        self._connected_presence.unwatch(key)

    def broadcast_to_presence(self, key: str, event: str, payload: Any = None) -> None:
        """Send *event* with *payload* (JSON) to all consumers and pages that track or watch *key*, this one included.

        It arrives as ``handle_presence_event``. Raises ``TypeError`` or ``ValueError`` for a payload that is not JSON, or has more
        than 32 levels.
        """
        self._connected_presence.broadcast(key, event, payload)

    # Reads

    def list_presences(self, key: str) -> list[Record]:
        """Return the records of all who are present under *key*, oldest first.

        Raises ``PresenceError`` in a running loop if this process does not know them yet: await the twin there.
        """
        return self._connected_presence.records(key)

    async def alist_presences(self, key: str) -> list[Record]:
        return await self._connected_presence.arecords(key)

    def presence_count(self, key: str) -> int:
        """Return the number of users present under *key*, in constant time. Raises like :meth:`list_presences`."""
        return self._connected_presence.count(key)

    async def apresence_count(self, key: str) -> int:
        return await self._connected_presence.acount(key)

    # Callbacks: one at a time and never beside another handler of this consumer. They may be async.

    def handle_presence_join(self, key: str, presence: Record) -> Any:
        """Called when a user has joined: once for each, this one included."""

    def handle_presence_leave(self, key: str, presence: Record) -> Any:
        """Called when a user's last connection has left."""

    def handle_presence_update(self, key: str, presence: Record) -> Any:
        """Called when a user's meta has changed."""

    def handle_presence_event(self, key: str, event: str, payload: Any) -> Any:
        """Called with a broadcast."""

    # The consumer

    @property
    def _connected_presence(self) -> ConsumerPresence:
        if self._presence is None:
            raise PresenceError(f"{type(self).__qualname__} has no connection yet, and so no presence.")
        return self._presence

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: Send) -> None:
        if scope["type"] != "websocket":
            raise ValueError(f"{type(self).__qualname__} serves websockets, not {scope['type']!r}.")
        self.scope = cast("_ChannelScope", scope)
        self._presence = presence = ConsumerPresence(self, self._presence_hooks, receive, send)
        await presence.find_visitor()
        ending = Ending.LOST
        try:
            await super().__call__(self.scope, presence.receive, presence.send)
            ending = Ending.CLOSED
        except NoSuchGroup:  # a key made from the URL does not fit
            await presence.refuse()
        except asyncio.CancelledError:
            ending = Ending.RESTART
            raise
        finally:
            await presence.over(ending)

    async def dispatch(self, message: dict[str, Any]) -> None:
        async with self._connected_presence.callbacks.handler():
            await super().dispatch(message)
