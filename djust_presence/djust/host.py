"""Real djust as a host: each of its live views gets a session, through djust's own calls of a view and its consumer.

djust is not imported before it has such a view. `_ConsumerOfView` and `PresenceConsumer` have all that is relied on, and
tests keep it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

from django.http import HttpRequest

from ..hosts import Host
from ..keys import url_arguments
from ..mixins import PresenceMixin, presence_of
from ..tracker import Connection, Session, get_tracker, in_loop, serves_if
from ..view_presence import scopes
from .consumer import PresenceConsumer, add_presence, for_script, push_event

__all__ = ["DjustHost", "djust_host"]

REFRESH_WAIT = 0.1  # seconds that other sessions wait for one that is busy
LEAST_TIMEOUT = 90.0  # djust's client pings by a timer, and those of hidden pages run once a minute

# Attributes that djust saves and restores with the view's state.
LASTING = ("_presence_wish", "_presence_last")
HOOK = "_ws_consumer"  # the attribute by which djust gives a view its consumer
UNUSED = "unused"
CONSUMER = "djust.websocket"  # the module of djust's consumer, which asgi.py imports
TENANTS = "djust.tenants.mixin"  # the module of its TenantMixin, which views with a tenant have


class _ConsumerOfView:
    """``view._ws_consumer``, which djust sets when a view is on a socket, before it runs any of the view's code."""

    def __get__(self, view: Any, owner: type | None = None) -> Any:
        if view is None:
            return self
        try:
            return view.__dict__[HOOK]
        except KeyError:
            raise AttributeError(HOOK) from None

    def __set__(self, view: Any, consumer: Any) -> None:
        view.__dict__[HOOK] = consumer
        if consumer is None:
            # The view is being made. djust treats attributes that it has at the end of that as the framework's.
            assert presence_of(view)
            view.__dict__["_initialize_temporary_assigns"] = partial(_begin, view)
            # A snapshot lacks presence, and has state that mount() makes again.
            view.__dict__["_should_restore_snapshot"] = _never
        else:
            add_presence(consumer)
            alone = vars(consumer).setdefault("_presence_connection", f"anon_conn_{uuid4().hex}")
            if presence := presence_of(view):
                presence.connect(get_tracker().connect(djust_host, consumer).session(view), alone)
            view.__dict__["get_presence_key"] = _answer_before_mount(view)


def _begin(view: Any) -> None:
    """Begin the view's session. Called by djust in a thread, with the request set, before mount, restore or refusal."""
    del view.__dict__["_initialize_temporary_assigns"]
    # Made here, they count as the user's own to djust, which then saves and restores them.
    for name in LASTING:
        view.__dict__.setdefault(name, None)
    if "kwargs" not in view.__dict__:  # as over HTTP
        view.kwargs = url_arguments(view.request.path_info)
    if presence := presence_of(view):
        presence.mounting()
    view._initialize_temporary_assigns()


def _never(request: HttpRequest) -> bool:
    return False


def _answer_before_mount(view: Any) -> Callable[[], str]:
    """Return a stand-in for ``get_presence_key``, which djust calls on the loop, before the view is mounted.

    Views do not know their key so early. All return the same, and nothing is ever sent to the group of that key.
    """

    def get_presence_key() -> str:
        if not in_loop():
            return str(type(view).get_presence_key(view))
        del view.__dict__["get_presence_key"]
        return UNUSED

    return get_presence_key


def _scoped_by_tenant(view: Any, key: str) -> str:
    """Return *key* with the view's tenant, as djust's own mixins make it, in whatever order a view inherits them."""
    if not any(kind.__module__ == TENANTS for kind in type(view).__mro__):
        return key
    tenant = view._tenant
    return key if tenant is None or key.startswith(f"tenant:{tenant.id}:") else f"tenant:{tenant.id}:{key}"


class DjustHost(Host):
    """Owns sessions of djust's live views."""

    async def refresh(self, sessions: Sequence[Session]) -> None:
        """Give the views of *sessions* their news, and let djust render each. Never raises."""
        pushers = [
            pusher
            for session in sessions
            if (pusher := _consumer(session).presence_refresh(session.owner, session.take()))
        ]
        if pushers:
            await asyncio.wait(pushers, timeout=REFRESH_WAIT)

    def broadcast(self, sessions: Sequence[Session], event: str, payload: Any) -> None:
        """Send a broadcast to the pages of *sessions*: as djust's event, and as a frame for our script."""
        frames = push_event(event, payload), for_script("broadcast", {"event": event, "payload": payload})
        for session in sessions:
            _consumer(session).presence_put(*frames)

    def encode(self, kind: str, fields: dict[str, Any]) -> str:
        return for_script(kind, fields)

    def put(self, sessions: Sequence[Session], text: str) -> list[Session]:
        """Send *text* to the pages of *sessions*; return those that are still being sent to."""
        return [session for session in sessions if not _consumer(session).presence_point(text)]

    def close(self, connection: Connection[Session], code: int, reason: str) -> None:
        """Close the socket of *connection*; djust's client reconnects, if it still runs."""
        if asyncio.get_running_loop().time() - connection.heard_at >= LEAST_TIMEOUT:
            connection.owner.presence_close(code, reason)

    async def check(self, connections: Sequence[Connection[Session]]) -> None:
        """Have djust check access, in projects that let it do so before each event."""
        sessions = [session for connection in connections for session in connection.sessions]
        await asyncio.gather(*(_consumer(session).presence_check(session) for session in sessions))


djust_host = DjustHost()


def _consumer(session: Session) -> PresenceConsumer:
    consumer: PresenceConsumer = session.connection.owner
    return consumer


serves_if(lambda: CONSUMER in sys.modules)
setattr(PresenceMixin, HOOK, _ConsumerOfView())
scopes.append(_scoped_by_tenant)
