"""``CursorTracker``: the last position of each cursor, in Django's cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.core.cache import caches

from ..backends.registry import get_backend
from ..conf import get_settings
from ..identity import encode_given
from ..keys import checked_key, checked_user_id, short_name
from .caches import CursorCache, cursor_cache_in
from .position import checked_coordinate

__all__ = ["CachedCursor", "Cursor", "CursorTracker", "save"]

Cursor = dict[str, Any]  # x, y, timestamp, meta


class CachedCursor(NamedTuple):
    """A cursor as it is written to the cache."""

    x: float
    y: float
    meta: str  # encoded


class CursorTracker:
    """Cursors by group and user: ``{user_id: {"x", "y", "timestamp", "meta"}}``, *timestamp* in epoch seconds.

    They are in the cache ``CURSOR_CACHE`` until ``CURSOR_TIMEOUT`` seconds after the user's last move. Users who move at
    the same time do not overwrite each other's cursors; the docs say how that works in each kind of cache. Nobody is
    notified of a move: pages show the cursors of ``LiveCursorMixin``.

    Each method blocks, and has a twin for async code whose name begins with an ``a``. Keys are presence keys. A user is
    a user object, which counts as its pk, or an id that is taken as text.
    """

    @staticmethod
    def update_cursor(
        key: str, user_id: object, x: float, y: float, meta: Mapping[str, Any] | None = None
    ) -> None:
        """Set the cursor of *user_id* to *x*, *y*, with *meta* (JSON, at most 4 KB).

        Raises ``ValueError`` for coordinates that are not finite numbers, for a meta that does not fit, and for a user
        who has no id.
        """
        user = checked_user_id(user_id, "CursorTracker.update_cursor()")
        at = checked_coordinate("x", x), checked_coordinate("y", y)
        save(key, {user: CachedCursor(*at, encode_given(meta or {}))})

    @staticmethod
    def get_cursors(key: str) -> dict[str, Cursor]:
        """Return the cursors of the group *key* that have moved in the last ``CURSOR_TIMEOUT`` seconds."""
        found = _cache().read(_name(key), get_settings().cursor_timeout)
        return {user: _cursor(moved_at, *json.loads(text)) for user, (moved_at, text) in found.items()}

    @staticmethod
    def remove_cursor(key: str, user_id: object) -> None:
        """Remove the cursor of *user_id*. Raises ``ValueError`` for a user who has no id."""
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


def save(key: str, cursors: Mapping[str, CachedCursor | None]) -> None:
    """Write the cursors of several users of the group *key* at once; None removes one. Blocks."""
    texts = {
        user: cursor and f"[{json.dumps(cursor.x)},{json.dumps(cursor.y)},{cursor.meta}]"
        for user, cursor in cursors.items()
    }
    _cache().write(_name(key), texts, get_settings().cursor_timeout)


def _cache() -> CursorCache:
    return cursor_cache_in(caches[get_settings().cursor_cache])


def _name(key: str) -> str:
    """Return the name of the group in a cache, which other sites may share."""
    return f"djust_presence.cursors.{short_name(get_backend().namespace, checked_key(key, 'CursorTracker'))}"


def _cursor(moved_at: float, x: float, y: float, meta: dict[str, Any]) -> Cursor:
    return {"x": x, "y": y, "timestamp": moved_at, "meta": meta}
