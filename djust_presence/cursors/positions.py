"""``CursorTracker``: the last position of each pointer, in Django's cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.core.cache import caches

from ..backends.registry import get_backend
from ..conf import get_settings
from ..keys import checked_key, checked_user_id, short_name
from ..state.records import encode_meta
from .caches import Positions, positions_in
from .pointers import checked_coordinate

__all__ = ["Cursor", "CursorTracker", "Place", "save"]

Cursor = dict[str, Any]
Place = tuple[float, float, str]  # x, y and the encoded meta


class CursorTracker:
    """Positions by group and user: ``{user_id: {"x", "y", "timestamp", "meta"}}``, *timestamp* in epoch seconds.

    They are in the cache ``CURSOR_CACHE``, and gone ``CURSOR_TIMEOUT`` seconds after the user's last move. Two users
    who move at the same time never lose each other's position: see the docs for what each kind of cache does.
    This stores positions and tells nobody; ``LiveCursorMixin`` shows them.

    Each method blocks, and has a twin for async code whose name begins with an ``a``. Keys are presence keys. A user is
    a user object, which counts as its pk, or an id that is taken as text.
    """

    @staticmethod
    def update_cursor(
        key: str, user_id: object, x: float, y: float, meta: Mapping[str, Any] | None = None
    ) -> None:
        """The user *user_id* is at *x*, *y*, with *meta* (JSON, at most 4 KB).

        Raises ``ValueError`` for coordinates that are not finite numbers, for a meta that does not fit, and for a user
        who has no id.
        """
        user = checked_user_id(user_id, "CursorTracker.update_cursor()")
        place = checked_coordinate("x", x), checked_coordinate("y", y)
        save(key, {user: (*place, encode_meta(meta or {}))})

    @staticmethod
    def get_cursors(key: str) -> dict[str, Cursor]:
        """Where everybody in the group *key* is, whose pointer is not older than ``CURSOR_TIMEOUT``."""
        found = _store().read(_name(key), get_settings().cursor_timeout)
        return {user: _cursor(moved_at, *json.loads(text)) for user, (moved_at, text) in found.items()}

    @staticmethod
    def remove_cursor(key: str, user_id: object) -> None:
        """Remove the position of *user_id*. Raises ``ValueError`` for a user who has no id."""
        save(key, {checked_user_id(user_id, "CursorTracker.remove_cursor()"): None})

    @staticmethod
    async def aupdate_cursor(
        key: str, user_id: object, x: float, y: float, meta: Mapping[str, Any] | None = None
    ) -> None:
        await sync_to_async(CursorTracker.update_cursor)(key, user_id, x, y, meta)

    @staticmethod
    async def aget_cursors(key: str) -> dict[str, Cursor]:
        return await sync_to_async(CursorTracker.get_cursors)(key)

    @staticmethod
    async def aremove_cursor(key: str, user_id: object) -> None:
        await sync_to_async(CursorTracker.remove_cursor)(key, user_id)


def save(key: str, places: Mapping[str, Place | None]) -> None:
    """Write where several users of a group are, at once; None removes. Blocks."""
    texts = {
        user: place and f"[{json.dumps(place[0])},{json.dumps(place[1])},{place[2]}]"
        for user, place in places.items()
    }
    _store().write(_name(key), texts, get_settings().cursor_timeout)


def _store() -> Positions:
    return positions_in(caches[get_settings().cursor_cache])


def _name(key: str) -> str:
    """Return the name of the group in a cache, which sites with other stores may share."""
    return f"djust_presence.cursors.{short_name(get_backend().namespace, checked_key(key, 'CursorTracker'))}"


def _cursor(moved_at: float, x: float, y: float, meta: dict[str, Any]) -> Cursor:
    return {"x": x, "y": y, "timestamp": moved_at, "meta": meta}
