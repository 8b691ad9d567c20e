"""Django's sessions and messages on a socket, which can read a cookie and set none."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Self
from uuid import uuid4

from asgiref.sync import sync_to_async
from django.contrib.auth import SESSION_KEY
from django.contrib.messages.storage.base import BaseStorage
from django.contrib.messages.storage.cookie import CookieStorage, MessageDecoder, MessageEncoder
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac

from ..errors import PresenceError
from ..identity import VISITOR
from ..rates import LogLimit

__all__ = [
    "SocketSession",
    "begin",
    "finish",
    "load",
    "mark",
    "mark_of",
    "move_in",
    "prepare",
    "received",
    "release_messages",
    "socket_session_class",
    "welcome",
]

logger = logging.getLogger("djust_presence")

_lost = LogLimit()

NO_LOG_IN = (
    "A session cannot change its key on a live page's socket, which can set no cookie: "
    "log in in an ordinary view, and change passwords there."
)
SHOWN = "_presence_messages"  # the key in the session of messages that the page shows already


def mark(session: SessionBase) -> str | None:
    """Return a mark of *session* for other processes, which does not reveal the session's key.

    The key of a signed cookie changes, so there the mark is made from the visitor's token.
    """
    secret = session.get(VISITOR) if isinstance(session, SignedCookies) else session.session_key
    return mark_of(secret) if secret else None


def mark_of(secret: str) -> str:
    return salted_hmac("djust_presence.session", secret, algorithm="sha256").hexdigest()


def welcome(request: HttpRequest) -> None:
    """Before a page is rendered over HTTP, add the messages that a live page left, whatever the storage is."""
    session, messages = getattr(request, "session", None), getattr(request, "_messages", None)
    if isinstance(session, SessionBase) and isinstance(messages, CookieStorage | FallbackStorage):
        if SessionStorage.session_key in session:
            for one in SessionStorage(request):
                messages.add(one.level, one.message, one.extra_tags)
            del session[SessionStorage.session_key]


def prepare(request: HttpRequest) -> None:
    """After a page was rendered over HTTP, note in the session what its socket will need."""
    session, messages = getattr(request, "session", None), getattr(request, "_messages", None)
    if isinstance(session, SignedCookies):
        if not session.is_empty() and VISITOR not in session:
            session[VISITOR] = uuid4().hex
    elif (
        isinstance(session, SessionBase)
        and messages is not None
        and messages.used
        and (shown := list(messages))
    ):
        session[SHOWN] = json.dumps(shown, cls=MessageEncoder)


def received(session: Any) -> Any:
    """Return *session*, which middleware has made for a socket, as one whose key stays; anything else unchanged."""
    if isinstance(session, SessionBase) and not isinstance(session, SocketSession):
        session.__class__ = socket_session_class(type(session))
    return session


def load(request: Any) -> SocketSession | None:
    """Load the session and the user of a socket's request; from here on the session's key must not change."""
    session = getattr(request, "session", None)
    if not isinstance(session, SocketSession):
        return None
    bool(getattr(request, "user", None))  # loading the user may change the key
    session.mount()
    return session


def move_in(request: Any) -> None:
    """Load the session before a view is mounted on a socket."""
    if (session := load(request)) is None:
        return
    messages = getattr(request, "_messages", None)
    if messages is not None and (shown := session.pop(SHOWN, None)):
        for one in json.loads(shown, cls=MessageDecoder):
            messages.add(one.level, one.message, one.extra_tags)


def begin(request: Any) -> None:
    """Before an event, mark the messages of the last one as seen."""
    storage = request.message_storage
    if storage and issubclass(storage, CookieStorage | FallbackStorage) and hasattr(request, "session"):
        storage = SessionStorage
    request.reopen_messages(storage)


def finish(request: Any, *, event: bool = False, failed: bool = False) -> bool:
    """After a mount, an event or a refresh, save its changes of the session. Return False if that has ended.

    The next one loads the session again. Changes of a *failed* one are dropped, as Django does.
    """
    if event and not failed and request.opened_messages is not None:
        request.opened_messages.update(HttpResponse())
    release_messages(request)
    session = request.opened_session
    if not isinstance(session, SocketSession):
        return True
    request.reopen_session(partial(type(session).again, session.begun, session.made))
    if session.flushed:
        session.end()
        return False
    return session.stands and (failed or session.keep(request.path))


def release_messages(request: Any) -> None:
    """Drop messages that were neither read nor added to: the next access makes them again."""
    messages = request.opened_messages
    if isinstance(messages, BaseStorage):
        if not (messages.used or messages.added_new or hasattr(messages, "_loaded_data")):
            request.opened_messages = None


class CacheAlias(str):
    """The alias of a cache, kept instead of the cache, which would keep its connection."""

    __slots__ = ()


class SocketSession(SessionBase):
    """A Django session on a socket: it can be read, changed and ended, but only an ordinary response can begin one.

    Its key stays, as a socket can set no cookie. Each verb that would change it has a sync and an async form here.
    """

    begun: str | None = None  # its key, if the session existed when the page was mounted
    mounted = False  # False while only middleware has it
    made: Mapping[str, Any] | None = None  # the attributes that middleware has made it with
    ended: Callable[[], object] | None = None  # called after it was deleted
    flushed = False  # True if it is deleted after the code that runs

    def mount(self) -> None:
        """Load it for a view: from here on its key must not change."""
        self.made = {name: _kept(value) for name, value in vars(self).items() if name != "_session_cache"}
        self.get("")
        self.begun, self.mounted = self.session_key, True

    @classmethod
    def again(cls, begun: str | None, made: Mapping[str, Any] | None) -> Self:
        """Return the session with the key *begun*, loaded on access.

        It has all that middleware has *made* it with; where that is None, it is made with its key alone.
        """
        if made is None:
            session = cls(begun)
        else:
            session = cls.__new__(cls)  # only middleware knows what else its constructor takes
            for name, value in made.items():
                setattr(session, name, caches[value] if isinstance(value, CacheAlias) else value)
        session._session_key = session.begun = begun
        session.made, session.mounted = made, True
        session.accessed = session.modified = False
        return session

    @property
    def stands(self) -> bool:
        """True if it still exists, as far as it was looked at."""
        return self.begun is None or self.session_key is not None

    def create(self) -> None:
        """Do not begin a session: engines call this when they cannot read one, and to save where there is none.

        Raises ``PresenceError`` if there is one that has been read.
        """
        if self.mounted and self.session_key and "_session_cache" in vars(self):
            raise PresenceError(NO_LOG_IN)
        self._session_key, self.modified = None, True

    async def acreate(self) -> None:
        self.create()

    def save(self, must_create: bool = False) -> None:
        if self.session_key is not None:
            super().save(must_create)

    async def asave(self, must_create: bool = False) -> None:
        if self.session_key is not None:
            await super().asave(must_create)

    def cycle_key(self) -> None:
        """Raise ``PresenceError``. Before the mount, do nothing: Django does this after a change of its SECRET_KEY."""
        if self.mounted:
            raise PresenceError(NO_LOG_IN)

    async def acycle_key(self) -> None:
        self.cycle_key()

    def flush(self) -> None:
        """End it after the code that runs: ``login`` of another user flushes first, and is refused then."""
        if not self.mounted:
            self.begun = self.session_key
            self.end()
        elif isinstance(self, SignedCookies):
            raise PresenceError(
                "A session of the signed_cookies engine ends with its cookie, which a live page's socket cannot "
                "delete: log out in an ordinary view."
            )
        else:
            self.clear()
            self._session_key, self.flushed = None, self.begun is not None

    async def aflush(self) -> None:
        await sync_to_async(self.flush)()

    def end(self) -> None:
        """Delete the session."""
        self._session_key = self.begun
        super().flush()
        if self.ended:
            self.ended()

    def __setitem__(self, key: str, value: Any) -> None:
        self._refuse_log_in(key)
        super().__setitem__(key, value)

    async def aset(self, key: str, value: Any) -> None:
        self._refuse_log_in(key)
        await super().aset(key, value)

    def _refuse_log_in(self, key: str) -> None:
        """Raise ``PresenceError``, and undo the flush, if ``login`` sets *key* after it has flushed the session."""
        if self.flushed and key == SESSION_KEY:
            self.flushed, self.modified, self._session_key = False, False, self.begun
            vars(self).pop("_session_cache", None)
            raise PresenceError(NO_LOG_IN)

    def keep(self, path: str) -> bool:
        """Save it if it was changed. Return False if it has ended."""
        if not self.modified or self.begun is None:
            return True  # where there is no session, nothing can be kept
        self.modified = False
        if isinstance(self, SignedCookies):
            _lost.log(
                logger.warning,
                "Changes of the session by %.200r are lost: the signed_cookies engine would need a cookie set.",
                path,
            )
            return True
        try:
            self.save()
        except UpdateError:
            return False
        return True


def _kept(value: Any) -> Any:
    """Return *value*, or its alias if it is a cache."""
    if isinstance(value, BaseCache):
        return next((CacheAlias(alias) for alias in caches if caches[alias] is value), value)
    return value


@cache
def socket_session_class(store: type[SessionBase]) -> type[SocketSession]:
    """Return the class of sessions on sockets with the store *store*."""
    return type(store.__name__, (SocketSession, store), {"__module__": store.__module__})
