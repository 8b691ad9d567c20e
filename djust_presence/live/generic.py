"""Django's generic views as live views: their own ``get()`` runs, without its rendering."""

from __future__ import annotations

import inspect
from typing import Any

from django.http import HttpResponse
from django.views.generic.base import ContextMixin, View

__all__ = ["Answered", "Generic", "prepare"]


class Answered(Exception):
    """The ``get()`` of a generic view has returned another *response* than a rendering, such as a redirect."""

    def __init__(self, response: HttpResponse) -> None:
        self.response = response


class Generic(ContextMixin, View):
    """The base of a live view, which may be one of Django's generic views as well.

    Whatever the ``get()`` of that sets on the view (``object``, ``object_list``) is there before ``mount`` is called,
    and what it adds to the context is there at each rendering. Raises ``TypeError`` for a class in which that ``get()``
    would be called instead of the live view's.
    """

    _live_prepared: dict[str, Any] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        called = next(base for base in cls.__mro__ if "get" in vars(base) and not _calls_super(base))
        if _is_ordinary(called):
            ordered = sorted(cls.__bases__, key=_is_ordinary)
            raise TypeError(
                f"{cls.__qualname__} would never be live, as {called.__qualname__}.get() comes before that of the live "
                f"view. Name the live view first: class {cls.__name__}({', '.join(one.__name__ for one in ordered)})."
            )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        # Attributes that the view has set since then win.
        prepared = {name: value for name, value in self._live_prepared.items() if name not in vars(self)}
        return super().get_context_data(**{**prepared, **kwargs})

    def _live_prepare(self, *args: Any, **kwargs: Any) -> None:
        get = getattr(super(), "get", None)
        if get is None:
            return
        rendered = HttpResponse()

        def render_to_response(context: dict[str, Any], **kwargs: Any) -> HttpResponse:
            self._live_prepared = context
            return rendered

        # Attributes of the instance come before methods of its class.
        vars(self).update(get_context_data=dict, render_to_response=render_to_response)
        try:
            response = get(self.request, *args, **kwargs)
        finally:
            del self.get_context_data, self.render_to_response  # type: ignore[attr-defined]
        if response is not rendered:
            raise Answered(response)


def _is_ordinary(view: type) -> bool:
    return issubclass(view, View) and not issubclass(view, Generic)


def _calls_super(view: type) -> bool:
    """Return whether the ``get()`` of *view* may leave it to the next one."""
    code = getattr(inspect.unwrap(vars(view)["get"]), "__code__", None)
    return code is None or "super" in code.co_names


def prepare(view: Any, *args: Any, **kwargs: Any) -> None:
    """Let a generic *view* set its attributes by its ``get()`` with the arguments of its URL. Raises ``Answered``."""
    if isinstance(view, Generic):
        view._live_prepare(*args, **kwargs)
