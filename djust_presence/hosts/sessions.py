"""Django's sessions and messages on a socket, which can read a cookie and set none."""

from __future__ import annotations

import json
import logging
from functools import cache, partial
from typing import Any, Self
from uuid import uuid4

from django.contrib.messages.storage.cookie import CookieStorage, MessageDecoder, MessageEncoder
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac

from ..errors import PresenceError
from ..identity import VISITOR

__all__ = [
    "Standing",
    "begin",
    "finish",
    "mark",
    "mark_of",
    "move_in",
    "prepare",
    "standing_class",
    "welcome",
]

logger = logging.getLogger("djust_presence")

SHOWN = "_presence_messages"  # in the session: messages that the page shows already


def mark(session: SessionBase) -> str | None:
    """Return a mark of *session* for other processes: nobody can get from it to the session's key.

    A signed cookie has no key that stays, so there it is made of the visitor's token.
    """
    secret = session.get(VISITOR) if isinstance(session, SignedCookies) else session.session_key
    return mark_of(secret) if secret else None


def mark_of(secret: str) -> str:
    return salted_hmac("djust_presence.session", secret, algorithm="sha256").hexdigest()


def welcome(request: HttpRequest) -> None:
    """Before a page is rendered over HTTP: messages that a live page left are shown, whatever the storage is."""
    session, messages = getattr(request, "session", None), getattr(request, "_messages", None)
    if isinstance(session, SessionBase) and isinstance(messages, CookieStorage | FallbackStorage):
        if SessionStorage.session_key in session:
            for one in SessionStorage(request):
                messages.add(one.level, one.message, one.extra_tags)
            del session[SessionStorage.session_key]


def prepare(request: HttpRequest) -> None:
    """After a page was rendered over HTTP: leave in the session what its socket will want to know."""
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


def move_in(request: Any) -> None:
    """Before a view is mounted on a socket: a session for it that never begins there."""
    session = getattr(request, "session", None)
    if not isinstance(session, SessionBase):
        return
    standing = request.session = standing_class(type(session)).standing(session.session_key)
    messages = getattr(request, "_messages", None)
    if messages is not None and (shown := standing.pop(SHOWN, None)):
        for one in json.loads(shown, cls=MessageDecoder):
            messages.add(one.level, one.message, one.extra_tags)


def begin(request: Any) -> None:
    """Before an event: the messages of the last one have been seen."""
    messages = getattr(request, "_messages", None)
    if isinstance(messages, CookieStorage | FallbackStorage) and hasattr(request, "session"):
        request._messages = SessionStorage(request)
    elif messages is not None:
        request._messages = type(messages)(request)


def finish(request: Any, *, event: bool = False, failed: bool = False) -> bool:
    """After a mount, an event or a refresh: save what it changed in the session. False if that has ended.

    The next one gets the session as it is by then. What a *failed* one changed is dropped, as Django does.
    """
    messages = getattr(request, "_messages", None)
    if event and not failed and messages is not None:
        messages.update(HttpResponse())
    session = request.opened_session
    if not isinstance(session, Standing):
        return True
    request.reopen_session(partial(type(session).again, session.begun))
    return session.stands and (failed or session.keep(request.path))


class Standing(SessionBase):
    """A session that an ordinary response has begun, and that on a socket can be read, changed and ended."""

    begun: str | None = None  # its key, if there was such a session when the page was mounted

    @classmethod
    def standing(cls, key: str | None) -> Self:
        """The session with this *key*, loaded, as that is how to find out whether there is one."""
        session = cls(key)
        session.get("")
        session.begun, session.modified = session.session_key, False
        return session

    @classmethod
    def again(cls, begun: str | None) -> Self:
        """The session as it is by now, to be loaded when it is looked at."""
        session = cls(begun)
        session.begun = begun
        return session

    @property
    def stands(self) -> bool:
        """True if it is still there, as far as anybody has looked."""
        return self.begun is None or self.session_key is not None

    def create(self) -> None:
        """Begin no session: engines do that when they cannot read one, and where there is none to be saved."""
        self._session_key = None
        self.modified = True

    def cycle_key(self) -> None:
        raise PresenceError(
            "A session cannot change its key on a live page's socket, which can set no cookie: "
            "log in in an ordinary view."
        )

    def keep(self, path: str) -> bool:
        """Save it if it was changed. False if it has ended."""
        if not self.modified or self.begun is None:
            return True  # where there is no session, nothing can be kept
        self.modified = False
        if isinstance(self, SignedCookies):
            logger.warning(
                "What %r wrote into the session is lost: the signed_cookies engine would need a cookie set.",
                path,
            )
            return True
        try:
            self.save()
        except UpdateError:
            return False
        return True


@cache
def standing_class(store: type[SessionBase]) -> type[Standing]:
    """Return the class of standing sessions in *store*."""
    return type(store.__name__, (Standing, store), {"__module__": store.__module__})
