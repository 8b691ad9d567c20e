"""The identity of a page's reader in its rooms: from the request, or for visitors without a session from their token."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from ..conf import get_settings
from ..identity import is_logged_in, username_of, visitor_id

__all__ = ["Identity", "visitor_of"]

TOKEN = re.compile(r"[A-Za-z0-9_-]{22,64}")


class Identity(NamedTuple):
    """The sender of a request by its user or its session; all fields are empty without these."""

    login: str = ""  # the id of a user who is logged in
    name: str = ""  # their user name
    visitor: str = ""  # the user id of a visitor with a session

    @classmethod
    def of(cls, request: HttpRequest) -> Identity:
        """Return the sender of *request*. May load the user and the session, and never begins one."""
        user: Any = getattr(request, "user", None)
        if is_logged_in(user):
            return cls(str(user.pk), username_of(user))
        return cls(visitor=visitor_id(getattr(request, "session", None), over_http=False))

    @property
    def user_id(self) -> str:
        """The user id in presence; empty if only the page's token can give one."""
        return self.login or self.visitor


def visitor_of(token: object) -> str:
    """Return the user id of a visitor by the *token* that their browser keeps; empty if it is not one.

    It is a keyed hash, so nobody can make a token for another visitor's id.
    """
    if get_settings().anonymous == "none" or not (isinstance(token, str) and TOKEN.fullmatch(token)):
        return ""
    mac = salted_hmac("djust_presence.feed.visitor", token, algorithm="sha256")
    return f"anon_{mac.hexdigest()[:32]}"
