"""The user of an open page, refreshed in place."""

from __future__ import annotations

from copy import deepcopy
from functools import cached_property
from typing import Any

from django.apps import apps
from django.http import HttpRequest
from django.utils import functional

__all__ = ["refresh_user", "refresh_users"]

CACHED = (cached_property, functional.cached_property)
ASYNC_USER = "_acached_user"  # the attribute in which Django keeps the user of ``request.auser()``


def refresh_users(request: HttpRequest, fresh: Any) -> None:
    """Refresh the users that *request* has, if they are still the same user as *fresh*."""
    refresh_user(getattr(request, "user", None), fresh)
    refresh_user(vars(request).get(ASYNC_USER), fresh)


def refresh_user(user: Any, fresh: Any) -> None:
    """Give *user* the field values of *fresh*, of the same model; do nothing if that is another user.

    Everything derived from the old values goes: related objects, cached properties, caches of permissions. All other
    attributes stay, as middleware may have set them, and deferred fields stay deferred.
    """
    while isinstance(user, functional.LazyObject):
        if (user := user._wrapped) is functional.empty:
            return
    if not _is_model(user) or str(user.pk) != str(fresh.pk):
        return
    mine, theirs = vars(user), vars(fresh)
    for field in user._meta.concrete_fields:
        name = field.attname
        # Not through descriptors: that of an image would open its file.
        if name in mine and name in theirs:
            mine[name] = _copy(theirs[name])
    for name in tuple(mine):
        if ("perm" in name and "cache" in name) or isinstance(getattr(type(user), name, None), CACHED):
            del mine[name]
    user._state.fields_cache = dict(fresh._state.fields_cache)
    mine["_prefetched_objects_cache"] = dict(theirs.get("_prefetched_objects_cache", {}))


def _copy(value: Any) -> Any:
    """Return a copy of *value*, as other pages of the user get it too; *value* itself if it cannot be copied."""
    try:
        return deepcopy(value)
    except TypeError:
        return value


def _is_model(user: Any) -> bool:
    if not apps.is_installed("django.contrib.auth"):
        return False
    from django.contrib.auth import get_user_model

    return isinstance(user, get_user_model())
