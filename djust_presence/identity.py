"""User ids of visitors, and the names that go with a meta."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies
from django.core.exceptions import SynchronousOnlyOperation
from django.utils.crypto import salted_hmac
from django.utils.functional import Promise

from .conf import get_settings
from .errors import PresenceError
from .guests import guest_of
from .keys import is_whole
from .state.json_text import TOO_DEEP
from .state.metas import encode_meta

__all__ = [
    "VISITOR",
    "checked_user",
    "connection_id",
    "encode_given",
    "encode_named",
    "is_logged_in",
    "username_of",
    "visitor_id",
]

# The key in the session of a visitor's random token, the only part of it that others see.
VISITOR = "_presence_visitor"


def is_logged_in(user: Any) -> bool:
    """Return whether *user*, of a request or a scope, is logged in."""
    return user is not None and bool(user.is_authenticated)


def username_of(user: Any) -> str:
    """Return the user name of *user* as text, empty if they have none. Where it is a relation, this may load it."""
    # A user model need not be of Django's base class.
    name = user.get_username() if hasattr(user, "get_username") else None
    return "" if name is None else str(name)


def visitor_id(session: Any, over_http: bool) -> str:
    """Return the user id of a visitor, or an empty text if their *session* gives none. May load the session.

    Nothing in it leads to the session's key. A token is put into a session only *over_http*.
    """
    if session is None:
        return ""
    if VISITOR in session:
        return f"anon_{session[VISITOR]}"
    key = getattr(session, "session_key", None)
    if key and not isinstance(session, SignedCookies):
        # A socket cannot put a token into a session that another page has begun, so HTTP does not either.
        return f"anon_{salted_hmac('djust_presence.visitor', key, algorithm='sha256').hexdigest()[:32]}"
    if over_http:
        session[VISITOR] = uuid4().hex
        return f"anon_{session[VISITOR]}"
    return ""


def connection_id() -> str:
    """Return a new user id for a single connection of a visitor."""
    return f"anon_conn_{uuid4().hex}"


def checked_user(user: object, owner: str) -> str:
    """Return *user* as text. Raises ``PresenceError`` if ``get_presence_user_id()`` of *owner* has returned no id."""
    if user is None or user == "" or not is_whole(str(user)):
        raise PresenceError(
            f"get_presence_user_id() of {owner} has returned {user!r}: return a text that is not empty, or what "
            "super() does."
        )
    return str(user)


def encode_given(meta: Mapping[str, Any]) -> str:
    """Encode *meta* with texts for lazy translations and for a name, which may be a user name of any type.

    Raises ``ValueError`` like `encode_meta`.
    """
    if isinstance(meta, Mapping):
        try:
            meta = {
                key: str(value)
                if isinstance(value, Promise) or (key == "name" and value is not None)
                else value
                for key, value in meta.items()
            }
        except RecursionError:
            raise ValueError(f"The presence meta's 'name' cannot be stored as JSON: {TOO_DEEP}") from None
    return encode_meta(meta)


def encode_named(meta: Mapping[str, Any], user: Any, user_id: str, known_as: str = "") -> str:
    """Encode *meta* with the name and id of *user*, if they are logged in; else as GUEST_NAMES wants it for *user_id*.

    Only users who are logged in have a ``user_id`` in it: theirs.

    *known_as* is their user name as it was before, for a running loop, which may be unable to load it. Without the
    setting a guest's name is filled in when it is read, in the reader's language. Raises ``ValueError`` like
    `encode_meta`.
    """
    complete = json.loads(encode_given(meta))
    if is_logged_in(user):
        if not complete.get("name"):
            with suppress(SynchronousOnlyOperation):
                known_as = username_of(user)
            if known_as:
                complete["name"] = known_as
        complete["user_id"] = user.pk if isinstance(user.pk, int) else str(user.pk)
        return encode_meta(complete)
    complete.pop("user_id", None)
    if get_settings().guest_names:
        name, color = guest_of(user_id)
        complete |= {"name": complete.get("name") or name, "color": complete.get("color") or color}
    return encode_meta(complete)
