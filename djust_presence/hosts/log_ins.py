"""Log-ins and log-outs, told to all processes at once."""

from __future__ import annotations

from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies
from django.db import router, transaction
from django.http import HttpRequest

from ..backends.registry import get_backend
from ..bus import NOTICES, publish
from .sessions import SocketSession, mark, mark_of

__all__ = ["ENDED", "watch_log_ins_and_outs"]

ENDED = "session-ended"  # the kind of the notice that a session has ended, or has another key from now on


def watch_log_ins_and_outs() -> None:
    """Tell all processes at once when a session ends, or gets another key, in any of them."""
    user_logged_out.connect(_session_ends, dispatch_uid="djust_presence.hosts.log_ins")
    user_logged_in.connect(_session_changes, dispatch_uid="djust_presence.hosts.log_ins")


def _session_ends(request: HttpRequest | None, **kwargs: Any) -> None:
    session = getattr(request, "session", None)
    if isinstance(session, SessionBase):
        _announce_after_flush(session, mark(session))


def _announce_after_flush(session: SessionBase, ended: str | None) -> None:
    """Announce the end after the flush: the signal comes before, when a page that reloads would still find the session."""
    if isinstance(session, SocketSession):
        session.ended = partial(_announce, session, ended)
        return
    flush, aflush = session.flush, session.aflush

    def flush_and_tell() -> None:
        flush()
        _announce(session, ended)

    async def aflush_and_tell() -> None:
        await aflush()
        await sync_to_async(_announce)(session, ended)

    session.flush, session.aflush = flush_and_tell, aflush_and_tell  # type: ignore[method-assign]


def _session_changes(request: HttpRequest | None, **kwargs: Any) -> None:
    """Announce a change of key: the session has its new key by this signal, the request's cookie the old one."""
    session = getattr(request, "session", None)
    if isinstance(session, SignedCookies):
        _announce(session, mark(session))
    elif request is not None and isinstance(session, SessionBase):
        old = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        if old and old != session.session_key:
            _announce(session, mark_of(old))


def _announce(session: SessionBase, ended: str | None) -> None:
    """Announce at once, and again after a transaction: before its end a page that reloads would still find *session*."""
    if ended is None:
        return
    tell = partial(publish, get_backend(), NOTICES, [[ENDED, ended]])
    tell()
    if isinstance(session, db.SessionStore):
        connection = transaction.get_connection(router.db_for_write(session.model))
        if connection.in_atomic_block:
            connection.on_commit(tell)
