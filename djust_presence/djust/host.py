"""Real djust as a host: each of its live views gets a session, by what djust says to a view and its consumer.

Nothing of djust is imported before it has a view of these. What this relies on is in `_ConsumerOfView` and `SeatedConsumer`, and kept by tests.
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
from .consumer import SeatedConsumer, for_script, push_event, seat

__all__ = ["DjustHost", "djust_host"]

LEAST_TIMEOUT = 90.0  # djust's client pings by a timer, and those of hidden pages run once a minute

LASTING = ("_presence_wish", "_presence_last")  # what it is to find again in a state that djust restores
HOOK = "_ws_consumer"  # the attribute by which djust gives a view its consumer
UNUSED = "unused"
CONSUMER = "djust.websocket"  # where djust's consumer is, which asgi.py imports
TENANTS = "djust.tenants.mixin"  # where its TenantMixin is, which a view has that has a tenant


class _ConsumerOfView:
    """``view._ws_consumer``, by which djust says that a view is on a socket: before anything of it has run there."""

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
            # The view is being made. What it has by the end of that, djust takes for its own and leaves alone.
            assert presence_of(view)
            view.__dict__["_initialize_temporary_assigns"] = partial(_begin, view)
            # A snapshot says nothing of presence, and is of a state that mount() makes again.
            view.__dict__["_should_restore_snapshot"] = _never
        else:
            seat(consumer)
            alone = vars(consumer).setdefault("_presence_connection", f"anon_conn_{uuid4().hex}")
            if presence := presence_of(view):
                presence.connect(get_tracker().connect(djust_host, consumer).session(view), alone)
            view.__dict__["get_presence_key"] = _answer_before_mount(view)


def _begin(view: Any) -> None:
    """Called by djust in a thread, once a view has its request and before it is mounted, restored, or refused."""
    del view.__dict__["_initialize_temporary_assigns"]
    # Made here, it is the user's to djust, which then saves and restores it.
    for name in LASTING:
        view.__dict__.setdefault(name, None)
    if "kwargs" not in view.__dict__:  # as a view has them over HTTP
        view.kwargs = url_arguments(view.request.path_info)
    if presence := presence_of(view):
        presence.mounting()
    view._initialize_temporary_assigns()


def _never(request: HttpRequest) -> bool:
    return False


def _answer_before_mount(view: Any) -> Callable[[], str]:
    """Return the answer for djust, which asks a view for its presence key on the loop and before it mounts it.

    No view knows that so early. All of them say the same, and nothing is ever sent to the group that djust makes of it.
    """

    def get_presence_key() -> str:
        if not in_loop():
            return str(type(view).get_presence_key(view))
        del view.__dict__["get_presence_key"]
        return UNUSED

    return get_presence_key


def _scoped_by_tenant(view: Any, key: str) -> str:
    """*key* among those of the view's tenant, as djust's own mixins have it, in whichever order a view inherits them."""
    if not any(kind.__module__ == TENANTS for kind in type(view).__mro__):
        return key
    tenant = view._tenant
    return key if tenant is None or key.startswith(f"tenant:{tenant.id}:") else f"tenant:{tenant.id}:{key}"


class DjustHost(Host):
    """Owns sessions of djust's live views."""

    async def refresh(self, sessions: Sequence[Session]) -> None:
        """Let the views of *sessions* take in what has come, and djust render each. Never raises."""
        await asyncio.gather(
            *(_consumer(session).presence_refresh(session.owner, session.take()) for session in sessions)
        )

    def broadcast(self, sessions: Sequence[Session], event: str, payload: Any) -> None:
        """Put a broadcast into the pages of *sessions*: djust's event, and what our script makes its own of."""
        frames = push_event(event, payload), for_script("broadcast", {"event": event, "payload": payload})
        for session in sessions:
            _consumer(session).presence_put(*frames)

    def encode(self, kind: str, fields: dict[str, Any]) -> str:
        return for_script(kind, fields)

    def put(self, sessions: Sequence[Session], text: str) -> list[Session]:
        """Send *text* to the pages of *sessions*; return those that are still being sent to."""
        return [session for session in sessions if not _consumer(session).presence_point(text)]

    def close(self, connection: Connection[Session], code: int, reason: str) -> None:
        """Close the socket of *connection*; djust's client comes back, if there still is one."""
        if asyncio.get_running_loop().time() - connection.heard_at >= LEAST_TIMEOUT:
            connection.owner.presence_close(code, reason)

    async def check(self, connections: Sequence[Connection[Session]]) -> None:
        """Have djust check access, in projects that let it do so before each event."""
        sessions = [session for connection in connections for session in connection.sessions]
        await asyncio.gather(*(_consumer(session).presence_check(session) for session in sessions))


djust_host = DjustHost()


def _consumer(session: Session) -> SeatedConsumer:
    consumer: SeatedConsumer = session.connection.owner
    return consumer


serves_if(lambda: CONSUMER in sys.modules)
setattr(PresenceMixin, HOOK, _ConsumerOfView())
scopes.append(_scoped_by_tenant)
