"""The project's context, such as a tenant, for code of an open page that runs outside of its middleware."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from django.http import HttpRequest

from ..conf import get_settings, imported

__all__ = ["Surroundings", "surroundings_of"]

Surroundings = Callable[[], AbstractContextManager[Any]]


def surroundings_of(request: HttpRequest) -> Surroundings | None:
    """Return a function that makes the context of the page of *request*, by PAGE_CONTEXT; None if that is not set.

    Raises ``ImportError`` for a path that leads nowhere.
    """
    function = imported(get_settings().page_context)
    return partial(function, request) if function else None
