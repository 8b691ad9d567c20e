"""Advice with DEBUG: parts that a page seems to lack, in the log and in the browser's console."""

from __future__ import annotations

import logging
from typing import Any, Self

from django.conf import settings
from django.http import HttpRequest

from ..mixins import presence_of
from ..view_presence import ViewPresence
from .generic import Generic

__all__ = ["CountShown", "advice_for_ordinary", "advice_for_view", "is_live"]

logger = logging.getLogger("djust_presence")

_logged: set[tuple[object, ...]] = set()


class CountShown(str):
    """A stand-in for ``online_count`` in the context of a view that has not set it: an empty text that notes its use."""

    _presence: ViewPresence

    def __new__(cls, presence: ViewPresence) -> Self:
        empty = super().__new__(cls)
        empty._presence = presence
        return empty

    def __str__(self) -> str:
        self._presence.reads = True
        return ""

    def __bool__(self) -> bool:
        return bool(str(self))


def is_live(view_class: type) -> bool:
    """Return whether *view_class* has a host: ours, or djust."""
    return issubclass(view_class, Generic) or any(
        base.__module__.partition(".")[0] == "djust" for base in view_class.__mro__
    )


def advice_for_view(view: Any) -> str:
    """Return advice about the rendered *view* for the browser's console, empty if there is none; log it once."""
    presence = presence_of(view)
    if not settings.DEBUG or presence is None or not presence.idle:
        return ""
    name = type(view).__qualname__
    cure = "call self.track_presence() in mount(), or self.watch_presence() to see the others without being counted."
    if _is_first(type(view)):
        logger.warning("%s shows presence, but neither tracks nor watches: %s", name, cure)
    return f"{name} shows presence, but neither tracks nor watches: {cure}"


def advice_for_ordinary(request: HttpRequest | None, tag: str, place: object) -> str:
    """Return such advice for a page that is not live, but in which *tag* is rendered.

    Nothing is wrong with that in the answer of a live view to a POST, on pages of djust, and where there is no
    request, as in a mail.
    """
    match = getattr(request, "resolver_match", None)
    if not settings.DEBUG or match is None:
        return ""
    view = getattr(match.func, "view_class", match.func)
    if isinstance(view, type) and is_live(view):
        return ""
    name = getattr(view, "__qualname__", match.view_name)
    cure = "its page stays as it is. Derive the view from LiveView, or ignore this if the template is shared with one."
    if _is_first(view, tag, place):
        logger.warning("%s is not a live view, but its template uses %s (%s): %s", name, tag, place, cure)
    return f"{name} is not a live view, but its template uses {tag} ({place}): {cure}"


def _is_first(*about: object) -> bool:
    first = about not in _logged
    _logged.add(about)
    return first
