"""Presence keys: what can be one, and how a view's is filled in."""

from __future__ import annotations

from hashlib import blake2b
from string import Formatter
from typing import Any

from django.urls import Resolver404, resolve

from .errors import PresenceKeyError

__all__ = ["MAX_KEY_LENGTH", "checked_key", "fill_in", "is_whole", "short_name", "url_arguments"]

MAX_KEY_LENGTH = 255


def checked_key(key: object, owner: str) -> str:
    """*key*, which *owner* has given. Raises ``PresenceKeyError`` unless it is a text of 1 to 255 characters."""
    if not isinstance(key, str):
        fault = f"is no text, but {key!r:.300}"
    elif not key:
        fault = "is empty"
    elif len(key) > MAX_KEY_LENGTH:
        fault = f"has {len(key)}: {key!r:.300}"
    elif not is_whole(key):
        fault = f"has half of a surrogate pair in it: {key!r:.300}"
    else:
        return key
    raise PresenceKeyError(
        f"A presence key is a text of 1 to {MAX_KEY_LENGTH} characters; that of {owner} {fault}."
    )


def short_name(namespace: str, key: str) -> str:
    """What *key* of the site *namespace* is called where only few characters, and not many of them, are allowed."""
    return blake2b(f"{len(namespace)}:{namespace}{key}".encode(), digest_size=16).hexdigest()


def is_whole(text: str) -> bool:
    """Whether *text* is made of whole characters. What a browser sends may not be, and no store takes it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def fill_in(presence_key: str, view: object) -> str:
    """*presence_key* with the attributes of *view*, and else the arguments of its URL, for its variables.

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
    """What the URL patterns find in *path*."""
    try:
        return dict(resolve(path).kwargs)
    except Resolver404:
        return {}


class _KeyFormatter(Formatter):
    def __init__(self, view: object, subject: str) -> None:
        self._view = view
        self._subject = subject

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        value = getattr(self._view, str(key), None)
        return self._arguments().get(key) if value is None else value

    def _arguments(self) -> Any:
        arguments = getattr(self._view, "kwargs", None)
        if arguments is None and (request := getattr(self._view, "request", None)):
            return url_arguments(request.path_info)  # a view within another was never set up as one
        return arguments or {}

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
