"""Access of visitors while their page is open: log-outs, ended sessions, changed passwords, lost permissions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    load_backend,
)
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.backends import cache, cached_db, db
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies
from django.core.cache import caches
from django.db import router, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from ..backends.registry import get_backend
from ..bus import NOTICES, publish
from .sessions import Standing, mark, mark_of, standing_class

__all__ = ["ENDED", "Visitor", "current_users", "watch_log_ins_and_outs"]

T = TypeVar("T")

ENDED = "session-ended"  # the notice that a session has ended, or goes on under another key
PER_QUERY = 500


class Visitor(NamedTuple):
    """The visitor who opened a page, as far as it takes to check their access again."""

    store: type[Standing] | None
    session_key: str | None
    mark: str | None
    user_id: str | None  # None: somebody who was not logged in
    by_session: bool  # whether it was the session that said who this is

    @classmethod
    def of(cls, request: HttpRequest) -> Visitor:
        """Return the visitor who sends *request*, whose user and session are loaded."""
        session = getattr(request, "session", None)
        store = type(session) if isinstance(session, Standing) else None
        return cls._with(getattr(request, "user", None), session, store)

    @classmethod
    def of_scope(cls, scope: Mapping[str, Any]) -> Visitor:
        """Return the visitor who opened the socket with this *scope*, of Channels' own middleware. May load the session."""
        session = scope.get("session")
        store = standing_class(session.__class__) if isinstance(session, SessionBase) else None
        return cls._with(scope.get("user"), session, store)

    @classmethod
    def _with(cls, user: Any, session: Any, store: type[Standing] | None) -> Visitor:
        user_id = None
        if (
            apps.is_installed("django.contrib.auth")
            and isinstance(user, get_user_model())
            and user.pk is not None
        ):
            user_id = str(user.pk)
        if store is None or not session.session_key:
            return cls(None, None, None, user_id, False)
        by_session = session.get(SESSION_KEY) == user_id
        return cls(store, session.session_key, mark(session), user_id, by_session)


class Claim(NamedTuple):
    """The user that a session names; without a *backend*, something else has named them."""

    user_id: str
    backend: str | None


def current_users(visitors: Iterable[Visitor]) -> dict[Visitor, Any]:
    """The users that *visitors* are by now, None for who was not logged in; the others may not be here any more.

    One query for all their sessions, where these are in the database or a cache, and one for all users.
    """
    claims: dict[Visitor, tuple[Claim | None, Mapping[str, Any]]] = {}
    for visitor, data in _sessions(set(visitors)).items():
        if visitor.by_session and data.get(SESSION_KEY) != visitor.user_id:
            continue
        backend = data.get(BACKEND_SESSION_KEY) if visitor.by_session else None
        claims[visitor] = (Claim(visitor.user_id, backend) if visitor.user_id else None, data)
    users = _users({claim for claim, _ in claims.values() if claim})
    current = {}
    for visitor, (claim, data) in claims.items():
        user = users.get(claim) if claim else None
        if claim is None or (user is not None and (not visitor.by_session or _password_stands(user, data))):
            current[visitor] = user
    return current


def _sessions(visitors: Iterable[Visitor]) -> dict[Visitor, Mapping[str, Any]]:
    """Return the data of the sessions of *visitors*, but of ended ones; none where there was no session."""
    keys: dict[type[Standing], list[str]] = defaultdict(list)
    for visitor in visitors:
        if visitor.store and visitor.session_key:
            keys[visitor.store].append(visitor.session_key)
    found = {store: _load(store, some) for store, some in keys.items()}
    return {
        visitor: found[visitor.store][visitor.session_key] if visitor.store and visitor.session_key else {}
        for visitor in visitors
        if not visitor.store or visitor.session_key in found[visitor.store]
    }


def _load(store: Any, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    if store.load in (db.SessionStore.load, cached_db.SessionStore.load):
        decode = store.standing(None).decode
        rows = store.get_model_class().objects.filter(expire_date__gt=timezone.now())
        return {
            row.session_key: decode(row.session_data)
            for some in _chunks(keys)
            for row in rows.filter(session_key__in=some)
        }
    if store.load is cache.SessionStore.load:
        prefix = store.cache_key_prefix
        found = caches[settings.SESSION_CACHE_ALIAS].get_many([prefix + key for key in keys])
        return {name.removeprefix(prefix): data for name, data in found.items()}
    sessions = {key: store.standing(key) for key in keys}
    return {key: dict(session.items()) for key, session in sessions.items() if session.begun}


def _users(claims: Iterable[Claim]) -> dict[Claim, Any]:
    """The users of *claims*, as their authentication backends give them out: not those that are not active."""
    from django.contrib.auth.backends import ModelBackend  # brings models along

    claimed: dict[str | None, list[Claim]] = defaultdict(list)
    for claim in claims:
        claimed[claim.backend] = [*claimed[claim.backend], claim]
    found = {}
    for path, some in claimed.items():
        if path is not None and path not in settings.AUTHENTICATION_BACKENDS:
            continue
        backend = ModelBackend() if path is None else load_backend(path)
        if isinstance(backend, ModelBackend) and type(backend).get_user is ModelBackend.get_user:
            model = get_user_model()
            ids = {claim: model._meta.pk.to_python(claim.user_id) for claim in some}
            users = model._default_manager.in_bulk(list(ids.values()))
            for claim, key in ids.items():
                if (user := users.get(key)) and backend.user_can_authenticate(user):
                    found[claim] = user
        else:
            for claim in some:
                if user := backend.get_user(claim.user_id):
                    found[claim] = user
    return found


def _password_stands(user: Any, data: Mapping[str, Any]) -> bool:
    """Return whether the session of *user* was begun with their present password."""
    if not hasattr(
        user, "get_session_auth_hash"
    ):  # as Django asks: a user model need not be of its base class
        return True
    given = data.get(HASH_SESSION_KEY) or ""
    return any(
        constant_time_compare(given, one)
        for one in (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    )


def watch_log_ins_and_outs() -> None:
    """Tell all processes at once when a session ends, or gets another key, in any of them."""
    user_logged_out.connect(_session_ends, dispatch_uid="djust_presence.hosts.access")
    user_logged_in.connect(_session_changes, dispatch_uid="djust_presence.hosts.access")


def _session_ends(request: HttpRequest | None, **kwargs: Any) -> None:
    session = getattr(request, "session", None)
    if isinstance(session, SessionBase):
        _announce_after_flush(session, mark(session))


def _announce_after_flush(session: SessionBase, ended: str | None) -> None:
    """The signal comes before the session is flushed, and a page that is reloaded at once would still find it."""
    if isinstance(session, Standing):
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
    """By this signal the session has its new key; the cookie that came with the request has the old one."""
    session = getattr(request, "session", None)
    if isinstance(session, SignedCookies):
        _announce(session, mark(session))
    elif request is not None and isinstance(session, SessionBase):
        old = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        if old and old != session.session_key:
            _announce(session, mark_of(old))


def _announce(session: SessionBase, ended: str | None) -> None:
    """At once, and again when a transaction is over, until which a page that is reloaded would still find *session*."""
    if ended is None:
        return
    tell = partial(publish, get_backend(), NOTICES, [[ENDED, ended]])
    tell()
    if isinstance(session, db.SessionStore):
        connection = transaction.get_connection(router.db_for_write(session.model))
        if connection.in_atomic_block:
            connection.on_commit(tell)


def _chunks(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    return (keys[start : start + PER_QUERY] for start in range(0, len(keys), PER_QUERY))
