"""Real djust as a host: each of its live views gets a session, by what djust says to a view and its consumer.

Nothing of djust is imported before it has a view of these. What this relies on is in `_ConsumerOfView` and `SeatedConsumer`, and kept by tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.http import HttpRequest
from django.urls import Resolver404, resolve

from ..mixins import PresenceMixin
from ..tracker import Session, get_tracker, reads
from .djust_consumer import SeatedConsumer, for_script, push_event, seat

__all__ = ["DjustHost", "djust_host"]

LEAST_TIMEOUT = 90.0  # djust's client pings by a timer, and those of hidden pages run once a minute

# What a view holds for as long as it lives and no longer: nothing to be saved, compared or restored.
FLEETING = (
    "_presence",
    "_presence_uncounted",
    "_presence_alone",
    "_presence_position",
    "_presence_misplaced",
)
UNUSED = "unused"


class _ConsumerOfView:
    """``view._ws_consumer``, by which djust says that a view is on a socket: before anything of it has run there."""

    def __get__(self, view: Any, owner: type | None = None) -> Any:
        if view is None:
            return self
        try:
            return view.__dict__["_ws_consumer"]
        except KeyError:
            raise AttributeError("_ws_consumer") from None

    def __set__(self, view: Any, consumer: Any) -> None:
        view.__dict__["_ws_consumer"] = consumer
        if consumer is None:
            # The view is being made. What it has by the end of that, djust takes for its own and leaves alone.
            kind = type(view)
            view.__dict__.update({name: getattr(kind, name) for name in FLEETING if hasattr(kind, name)})
        else:
            seat(consumer)
            view._presence = get_tracker().session(djust_host, view)
            view.__dict__["get_presence_key"] = _answer_before_mount(view)


def _answer_before_mount(view: Any) -> Callable[[], str]:
    """What djust gets when it asks a view for its presence key, which it does on the loop, and before it mounts it.

    No view knows that so early. All of them say the same, and nothing is ever sent to the group that djust makes of it.
    """

    def get_presence_key() -> str:
        if not reads.in_loop():
            return str(type(view).get_presence_key(view))
        del view.__dict__["get_presence_key"]
        view.kwargs = _url_kwargs(view.request)  # as a view has them over HTTP
        return UNUSED

    return get_presence_key


def _url_kwargs(request: HttpRequest) -> dict[str, Any]:
    try:
        return dict(resolve(request.path_info).kwargs)
    except Resolver404:
        return {}


class DjustHost:
    """What the tracker sees of djust's live views."""

    async def refresh(self, sessions: Sequence[Session]) -> None:
        """Let the views of *sessions* take in what has come, and djust render each. Never raises."""
        await asyncio.gather(
            *(_consumer(session).presence_refresh(session.view, session.take()) for session in sessions)
        )

    def send(self, sessions: Sequence[Session], event: str, payload: Any) -> None:
        """Put a broadcast into the pages of *sessions*: djust's event, and what our script makes its own of."""
        frames = push_event(event, payload), for_script("broadcast", {"event": event, "payload": payload})
        for session in sessions:
            _consumer(session).presence_put(*frames)

    def show_cursors(self, sessions: Sequence[Session], fields: Mapping[str, Any]) -> list[Session]:
        """Put one frame of cursors into the pages of *sessions*; those that are still being sent to are returned."""
        frame = for_script("cursors", fields)
        return [session for session in sessions if not _consumer(session).presence_point(frame)]

    def ping(self, sessions: Sequence[Session]) -> None:
        """Nothing: djust's client gives a sign of life by itself."""

    def close(self, session: Session, code: int, reason: str) -> None:
        """Close the socket of *session*; djust's client comes back, if there still is one."""
        if session.tracker.now - session.heard_at >= LEAST_TIMEOUT:
            _consumer(session).presence_close(code)

    def notice(self, sessions: Sequence[Session], kind: str, *rest: Any) -> None:
        """Nothing: who may see a view, and for how long, is djust's to say."""

    async def check(self, sessions: Sequence[Session]) -> None:
        """Have djust see who may still be there, in projects that let it do so before each event."""
        await asyncio.gather(*(_consumer(session).presence_check(session) for session in sessions))


djust_host = DjustHost()


def _consumer(session: Session) -> SeatedConsumer:
    consumer: SeatedConsumer = session.view._ws_consumer
    return consumer


PresenceMixin._ws_consumer = _ConsumerOfView()  # type: ignore[attr-defined]
