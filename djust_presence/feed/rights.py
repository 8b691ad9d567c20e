"""Checks of the right to a room: the project's AUTHORIZE, and the object that the room is about."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from django.apps import apps
from django.http import HttpRequest

from ..calls import call
from ..conf import get_settings, imported
from ..hosts.surroundings import Surroundings
from .tickets import Ticket

__all__ = ["Answer", "Right", "answers", "authorize", "has_to_be_asked", "is_old"]

Answer = str | Exception  # empty if granted, else the protocol's code; an error if the check failed


class Right(NamedTuple):
    """The right that *ticket* gives the sender of *request*. Outside of a request it is checked in *surroundings*."""

    request: HttpRequest
    ticket: Ticket
    surroundings: Surroundings | None = None


def authorize() -> Callable[[HttpRequest, str], Any] | None:
    """Return AUTHORIZE, sync or async; None if it is not set. Raises ``ImportError`` for a path that leads nowhere."""
    found: Callable[[HttpRequest, str], Any] | None = imported(get_settings().authorize)
    return found


def has_to_be_asked(ticket: Ticket) -> bool:
    """Return whether the right that *ticket* gives can end before the log-in does."""
    return get_settings().authorize is not None or bool(ticket.model)


def is_old(ticket: Ticket) -> bool:
    """Return whether the right has to be checked before *ticket* is used."""
    interval = get_settings().reauth_interval
    return bool(interval) and has_to_be_asked(ticket) and time.time() - ticket.issued > interval


def answers(rights: Sequence[Right]) -> list[Answer]:
    """Check each of *rights*, in a thread. All objects of a model take one query."""
    objects = _objects({right.ticket for right in rights if right.ticket.model})
    return [_answer(right, objects) for right in rights]


def _objects(tickets: set[Ticket]) -> Mapping[str, Any]:
    """Return the objects of *tickets* by key: None for one that is gone, or the error."""
    pks: dict[str, dict[str, str]] = defaultdict(dict)
    for ticket in tickets:
        pks[ticket.model][ticket.key] = ticket.pk
    found: dict[str, Any] = {}
    for label, keys in pks.items():
        try:
            model: Any = apps.get_model(label)
            ids = {key: model._meta.pk.to_python(pk) for key, pk in keys.items()}
            there = model._default_manager.in_bulk(list(ids.values()))
        except Exception as error:
            found |= dict.fromkeys(keys, error)
        else:
            found |= {key: there.get(pk) for key, pk in ids.items()}
    return found


def _answer(right: Right, objects: Mapping[str, Any]) -> Answer:
    request, ticket = right.request, right.ticket
    try:
        about = objects[ticket.key] if ticket.model else None
        if isinstance(about, Exception):
            return about
        if ticket.model and about is None:
            return "gone"
        if function := authorize():
            allowed = call(function, request, ticket.key)
        elif may_see := getattr(about, "may_see_presence", None):
            allowed = call(may_see, getattr(request, "user", None))
        else:
            allowed = True
    except Exception as error:
        return error
    return "" if allowed else "forbidden"
