"""Checks of the input of pages' scripts: room ids, wants, and their part of a meta."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from ..identity import encode_named
from ..state.metas import decode_meta
from .frames import Wants
from .tickets import Ticket

__all__ = ["LONGEST_ID", "MAX_ROOMS", "checked_meta", "checked_room", "meta_of", "script_keys", "wants_of"]

MAX_ROOMS = 64  # rooms of one page
MAX_SOME = 500  # ids that a page may ask for in a room
LONGEST_ID = 64  # characters
NOBODY: frozenset[str] = frozenset()  # the same for all pages
LONGEST_VALUE = 200  # characters of a meta's value
OF_THE_SERVER = frozenset({"name", "color", "avatar", "id", "user_id"})  # scripts cannot set these


def checked_room(room: object) -> str:
    """Return *room*, a room id. Raises ``ValueError`` if it is not one."""
    if not isinstance(room, str) or not 0 < len(room) <= LONGEST_ID:
        raise ValueError("The frame names no room.")
    return room


def wants_of(want: object) -> Wants:
    """Return the wants in *want*, without fields. Raises ``ValueError`` if it is malformed."""
    if not isinstance(want, dict):
        raise ValueError("The frame does not say what is wanted.")
    some = want.get("some") or []
    if not isinstance(some, list) or not all(isinstance(one, str) and len(one) <= LONGEST_ID for one in some):
        raise ValueError("The people that are wanted are not a list of ids.")
    return Wants(
        bool(want.get("list")), bool(want.get("count")), frozenset(some[:MAX_SOME]) if some else NOBODY
    )


def checked_meta(meta: object) -> dict[str, Any]:
    """Return *meta*. Raises ``ValueError`` for values that are not short texts, numbers, booleans or null."""
    if not isinstance(meta, dict):
        raise ValueError("The meta is not an object.")
    for name, value in meta.items():
        if isinstance(value, dict | list) or (isinstance(value, str) and len(value) > LONGEST_VALUE):
            raise ValueError(
                f"The meta's {name[:80]!r} is not a text of at most {LONGEST_VALUE} characters, number or boolean."
            )
    return meta


def script_keys(ticket: Ticket) -> frozenset[str]:
    """Return the keys of a meta that the script of a page with this *ticket* may set."""
    named = {name for name in ticket.meta_keys if not name.startswith("_")}
    return frozenset(named - OF_THE_SERVER - decode_meta(ticket.meta).values.keys())


def meta_of(
    ticket: Ticket, given: Mapping[str, Any], request: HttpRequest, user_id: str, username: str
) -> str:
    """Return the encoded meta of a user with *ticket*, with the fields that their script has *given*.

    Raises ``ValueError`` like `encode_meta`.
    """
    meta = {**given, **decode_meta(ticket.meta).copy()}
    return encode_named(meta, getattr(request, "user", None), user_id, username)
