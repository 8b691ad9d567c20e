"""Presence keys and user ids: checks, a view's key filled in, and the ids that browsers see."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from string import Formatter
from typing import Any

from django.conf import settings
from django.db.models import Model
from django.http import Http404
from django.urls import Resolver404, resolve
from django.utils.crypto import salted_hmac

from .errors import PresenceKeyError

__all__ = [
    "MAX_KEY_LENGTH",
    "NoSuchGroup",
    "arguments_of",
    "checked_key",
    "checked_user_id",
    "fill_in",
    "is_whole",
    "opaque_id",
    "short_name",
    "url_arguments",
    "user_id_of",
]

MAX_KEY_LENGTH = 255
OPAQUE_BYTES = 12  # enough for a million users in a group without two equal ids


class NoSuchGroup(PresenceKeyError, Http404):
    """The key does not fit because of the requested URL: there is no such page."""


NO_ARGUMENTS: Mapping[str, Any] = {}


def checked_key(key: object, owner: str, arguments: Mapping[str, Any] = NO_ARGUMENTS) -> str:
    """Return *key*, which *owner* was given. Raises ``PresenceKeyError`` unless it is a text of 1 to 255 characters.

    *arguments* are those of the URL. If they are the reason that the key does not fit, the error is ``NoSuchGroup``.
    """
    fault = _fault_of(key)
    if isinstance(key, str) and not fault:
        return key
    kind = NoSuchGroup if isinstance(key, str) and not _fault_without(arguments, key) else PresenceKeyError
    raise kind(f"A presence key is a text of 1 to {MAX_KEY_LENGTH} characters; that of {owner} {fault}.")


def _fault_of(key: object) -> str:
    """Return the fault of a presence key as a clause; empty if it has none."""
    if not isinstance(key, str):
        return f"is not a text, but {key!r:.300}"
    if not key:
        return "is empty"
    if len(key) > MAX_KEY_LENGTH:
        return f"has {len(key)}: {key!r:.300}"
    if not is_whole(key):
        return f"has half of a surrogate pair in it: {key!r:.300}"
    return ""


def _fault_without(arguments: Mapping[str, Any], key: str) -> str:
    """Return the fault that *key* would have if each of the *arguments* in it were short."""
    for argument in arguments.values():
        if isinstance(argument, str | int) and (str(argument) or not key):
            key = key.replace(str(argument), "x")
    return _fault_of(key)


def short_name(namespace: str, key: str) -> str:
    """Return a name of 32 hexadecimal digits for *key* of the site *namespace*, for transports that restrict names."""
    return blake2b(f"{len(namespace)}:{namespace}{key}".encode(), digest_size=16).hexdigest()


def opaque_id(key: str, user: str) -> str:
    """Return the id of *user* that browsers see in the group *key*: 16 url-safe characters.

    It does not reveal the user id, differs between groups, and is the same in all processes with one ``SECRET_KEY``.
    Computing it takes some microseconds: keep it where it is needed often.
    """
    mac = _opaque_mac(settings.SECRET_KEY).copy()
    mac.update(f"{len(key)}:{key}{user}".encode())
    return urlsafe_b64encode(mac.digest()[:OPAQUE_BYTES]).decode()


@lru_cache(maxsize=1)
def _opaque_mac(secret: str | bytes) -> Any:
    return salted_hmac("djust_presence.opaque_id", "", secret, algorithm="sha256")


def user_id_of(user: Any) -> str | None:
    """Return the id of *user*: the pk of a user object, anything else as text.

    Returns None for a user who is not logged in or not saved, for None and for an empty text. Raises ``TypeError`` for
    an instance of another model, and ``ValueError`` for a text that cannot be stored.
    """
    if not isinstance(user, str):
        authenticated = getattr(user, "is_authenticated", None)
        if authenticated is not None:
            user = user.pk if authenticated else None
        elif isinstance(user, Model):
            raise TypeError(
                f"A user is a user object or an id; {user.__class__.__qualname__} is neither: pass the id by which they "
                "are present, such as the pk of its user."
            )
    text = "" if user is None else str(user)
    if not is_whole(text):
        raise ValueError(f"A user id is a text of whole characters, not {text!r:.300}.")
    return text or None


def checked_user_id(user: Any, owner: str) -> str:
    """Return the id of *user*, which *owner* was given. Raises like :func:`user_id_of`, and ``ValueError`` for a user without one."""
    if (found := user_id_of(user)) is not None:
        return found
    shown = (
        repr(user) if user is None or isinstance(user, str) else f"{user.__class__.__qualname__} without one"
    )
    raise ValueError(
        f"{owner} needs a user id, not {shown}: pass a user who is logged in and saved, or for a visitor an id of your "
        "own, as a view's get_presence_user_id() gives."
    )


def is_whole(text: str) -> bool:
    """Return whether *text* has no lone surrogates. Text from a browser may have some, and cannot be stored."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def fill_in(presence_key: str, view: object) -> str:
    """Return *presence_key* with its variables filled in from the attributes of *view*, or else its URL's arguments.

    Raises ``PresenceKeyError`` naming a variable that is missing or None.
    """
    owner = type(view).__qualname__
    try:
        return _KeyFormatter(view, f"presence_key {presence_key!r} of {owner}").format(presence_key)
    except ValueError as error:
        raise PresenceKeyError(
            f"presence_key {presence_key!r} of {owner} cannot be filled in: {error}."
        ) from error


def url_arguments(path: str) -> dict[str, Any]:
    """Return the arguments that the URL patterns find in *path*; none if no pattern matches."""
    try:
        return dict(resolve(path).kwargs)
    except Resolver404:
        return {}


def arguments_of(view: object) -> Mapping[str, Any]:
    """Return the arguments of the URL that *view* answers."""
    arguments: Mapping[str, Any] | None = getattr(view, "kwargs", None)
    if arguments is None and (request := getattr(view, "request", None)):
        return url_arguments(request.path_info)  # a view inside another one has no arguments of its own
    return arguments or NO_ARGUMENTS


class _KeyFormatter(Formatter):
    def __init__(self, view: object, subject: str) -> None:
        self._view = view
        self._subject = subject

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        value = getattr(self._view, str(key), None)
        return arguments_of(self._view).get(str(key)) if value is None else value

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        try:
            value, first = super().get_field(field_name, args, kwargs)
        except (AttributeError, LookupError):
            value = first = None
        if value is None:
            raise PresenceKeyError(
                f"{self._subject} needs {field_name!r}, which is neither an attribute of the view nor in its URL, "
                "or is None: set it before tracking."
            )
        return value, first
