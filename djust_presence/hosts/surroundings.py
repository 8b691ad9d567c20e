"""The context that a project puts around code that runs for an open page outside of its middleware: a tenant, say."""

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
    """Return what enters the context of the page of *request*, by PAGE_CONTEXT; None if that is not set.

    Raises ``ImportError`` for a path that leads nowhere.
    """
    function = imported(get_settings().page_context)
    return partial(function, request) if function else None
