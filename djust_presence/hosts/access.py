"""Access of visitors while their page is open: log-outs, ended sessions, changed passwords, lost permissions."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeVar

from django.apps import apps
from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    load_backend,
)
from django.contrib.sessions.backends import cache, cached_db, db
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from .asgi import Scope
from .sessions import SocketSession, mark, socket_session_class

__all__ = ["Access", "Visitor", "current_users"]

K = TypeVar("K")
V = TypeVar("V")

PER_QUERY = 500
TRIES = 3  # failures of a kind, without a success among them, that are taken for an outage


@dataclass(frozen=True, slots=True)
class Visitor:
    """The visitor who opened a page, with the fields that it takes to check their access again."""

    store: type[SocketSession] | None
    session_key: str | None
    mark: str | None
    user_id: str | None  # None: somebody who was not logged in
    model: Any  # the class of the user
    login: str | None  # the user whom the session has logged in: this one, or one who acts as this one
    backend: str | None  # the authentication backend of that log-in
    acting: tuple[str, ...]  # the keys of the session that name this user if *login* is another
    # The arguments that middleware made the session with.
    made: Mapping[str, Any] | None = field(default=None, compare=False)

    @classmethod
    def of(cls, request: HttpRequest) -> Visitor:
        """Return the visitor who sends *request*, whose user and session are loaded."""
        session = getattr(request, "session", None)
        store = type(session) if isinstance(session, SocketSession) else None
        return cls._with(getattr(request, "user", None), session, store)

    @classmethod
    def of_scope(cls, scope: Scope) -> Visitor:
        """Return the visitor who opened the socket of *scope*, as Channels' own middleware set it. May load the session."""
        session = scope.get("session")
        store = socket_session_class(session.__class__) if isinstance(session, SessionBase) else None
        return cls._with(scope.get("user"), session, store)

    @classmethod
    def _with(cls, user: Any, session: Any, store: type[SocketSession] | None) -> Visitor:
        user_id: str | None = None
        model, acting = None, tuple[str, ...]()
        if (
            apps.is_installed("django.contrib.auth")
            and isinstance(user, get_user_model())
            and user.pk is not None
        ):
            user_id, model = str(user.pk), user.__class__
        if store is None or not session.session_key:
            return cls(None, None, None, user_id, model, None, None, ())
        login = session.get(SESSION_KEY)
        if login != user_id:
            # Impersonation names this user elsewhere in the session. If nothing there does, a token or the like has.
            named = {key for key, value in session.items() if str(value) == user_id}
            acting = tuple(sorted(named)) if login else ()
            login = login if acting else None
        backend = session.get(BACKEND_SESSION_KEY) if login else None
        made = session.made if isinstance(session, SocketSession) else None
        return cls(store, session.session_key, mark(session), user_id, model, login, backend, acting, made)

    def is_named_by(self, data: Mapping[str, Any]) -> bool:
        """Return whether the session with this *data* still says that its visitor is this user."""
        if self.login != self.user_id and not self.acting:
            return True  # not named by the session at all
        return data.get(SESSION_KEY) == self.login and all(
            str(data.get(key)) == self.user_id for key in self.acting
        )

    def claims(self, data: Mapping[str, Any]) -> list[Claim]:
        """Return the users on whom the session with this *data* depends, this one last."""
        claims = []
        if self.login:
            model = self.model if self.login == self.user_id else get_user_model()
            claims.append(Claim(self.login, data.get(BACKEND_SESSION_KEY), model))
        if self.user_id and self.login != self.user_id:
            claims.append(Claim(self.user_id, None, self.model))
        return claims


class Claim(NamedTuple):
    """A user that a session has logged in; without a *backend*, something else has named them."""

    user_id: str
    backend: str | None
    model: Any


class Access(NamedTuple):
    """The result of a check: the users of visitors who may stay (None if not logged in), and the errors.

    Visitors in neither have lost their access.
    """

    users: dict[Visitor, Any]
    errors: dict[Visitor, Exception]


def current_users(visitors: Iterable[Visitor]) -> Access:
    """Fetch the users of *visitors* again. An error for one of them does not affect the others.

    One query for all their sessions, where these are in the database or a cache, and one for all users of one class.
    """
    access = Access({}, {})
    standing: dict[Visitor, tuple[list[Claim], Mapping[str, Any]]] = {}
    for visitor, data in _sessions(set(visitors)).items():
        if isinstance(data, Exception):
            access.errors[visitor] = data
        elif data is not None and visitor.is_named_by(data):
            standing[visitor] = visitor.claims(data), data
    found = _users({claim for claims, _ in standing.values() for claim in claims})
    for visitor, (claims, data) in standing.items():
        users = [found[claim] for claim in claims]
        if error := next((user for user in users if isinstance(user, Exception)), None):
            access.errors[visitor] = error
            continue
        try:
            if all(users) and (not visitor.login or _password_stands(users[0], data)):
                access.users[visitor] = users[-1] if users else None
        except Exception as failure:
            access.errors[visitor] = failure
    return access


def _sessions(visitors: Iterable[Visitor]) -> dict[Visitor, Mapping[str, Any] | Exception | None]:
    """Return the data of the sessions of *visitors*: None for ended ones, no entry where there was no session."""
    stores: dict[type[SocketSession], list[Visitor]] = defaultdict(list)
    found: dict[Visitor, Mapping[str, Any] | Exception | None] = {}
    for visitor in visitors:
        if visitor.store:
            stores[visitor.store].append(visitor)
        else:
            found[visitor] = {}
    for store, some in stores.items():
        found |= _fetch(partial(_load, store), some)
    return found


def _load(store: Any, visitors: Sequence[Visitor]) -> Mapping[Visitor, Mapping[str, Any]]:
    """Return the data of the sessions of *visitors*, which are all in *store*, without those that have ended."""
    sessions = {visitor: store.again(visitor.session_key, visitor.made) for visitor in visitors}
    if store.load in (db.SessionStore.load, cached_db.SessionStore.load):
        rows = store.get_model_class().objects.filter(
            session_key__in={visitor.session_key for visitor in visitors}, expire_date__gt=timezone.now()
        )
        stored = {row.session_key: row.session_data for row in rows}
        return {
            visitor: session.decode(stored[visitor.session_key])
            for visitor, session in sessions.items()
            if visitor.session_key in stored
        }
    if store.load is cache.SessionStore.load:
        keys: dict[Any, list[str]] = defaultdict(list)
        for session in sessions.values():
            keys[session._cache].append(session.cache_key)
        found = {one: one.get_many(some) for one, some in keys.items()}
        return {
            visitor: found[session._cache][session.cache_key]
            for visitor, session in sessions.items()
            if session.cache_key in found[session._cache]
        }
    loaded = {visitor: dict(session.items()) for visitor, session in sessions.items()}
    return {visitor: data for visitor, data in loaded.items() if sessions[visitor].stands}


def _users(claims: Iterable[Claim]) -> dict[Claim, Any]:
    """Return the user of each of *claims*: None if they are gone or not active, or the error."""
    kinds: dict[tuple[str | None, Any], list[Claim]] = defaultdict(list)
    for claim in claims:
        kinds[claim.backend, claim.model].append(claim)
    found: dict[Claim, Any] = {}
    for (backend, model), some in kinds.items():
        found |= _fetch(partial(_authenticated, backend, model), some)
    return found


def _authenticated(path: str | None, model: Any, claims: Sequence[Claim]) -> Mapping[Claim, Any]:
    """Return the users of *claims* as their authentication backend gives them out: only those that are active."""
    from django.contrib.auth.backends import ModelBackend  # imports models

    if path is not None and path not in settings.AUTHENTICATION_BACKENDS:
        return {}
    backend = ModelBackend() if path is None else load_backend(path)
    if not isinstance(backend, ModelBackend) or type(backend).get_user is not ModelBackend.get_user:
        return {claim: backend.get_user(claim.user_id) for claim in claims}
    ids = {claim: model._meta.pk.to_python(claim.user_id) for claim in claims}
    users = model._default_manager.in_bulk(list(ids.values()))
    return {
        claim: users[key]
        for claim, key in ids.items()
        if key in users and backend.user_can_authenticate(users[key])
    }


def _fetch(fetch: Callable[[Sequence[K]], Mapping[K, V]], keys: Sequence[K]) -> dict[K, V | Exception | None]:
    """Return the result of *fetch* for each of *keys*, None if there is none, or the error.

    A call for many that fails is repeated for each alone, unless the first TRIES of these all fail: an outage.
    """
    found: dict[K, V | Exception | None] = {}
    waiting = deque(keys[start : start + PER_QUERY] for start in range(0, len(keys), PER_QUERY))
    failures, worked = 0, False
    while waiting:
        some = waiting.popleft()
        try:
            got = fetch(some)
        except Exception as error:
            if len(some) > 1 and (worked or failures < TRIES):
                waiting.extendleft([key] for key in some)
                continue
            failures += 1
            found |= dict.fromkeys(some, error)
            if failures >= TRIES and not worked:
                return found | {key: error for rest in waiting for key in rest}
        else:
            worked = True
            found |= {key: got.get(key) for key in some}
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
