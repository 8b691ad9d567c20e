"""The project's chain of middleware, for requests that came over a socket."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from asgiref.sync import AsyncToSync, SyncToAsync, sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import request_finished, request_started, setting_changed
from django.http import HttpResponseBase
from django.urls import set_script_prefix
from django.utils.module_loading import import_string

__all__ = ["answer", "template_response_middleware"]


class LiveHandler(ASGIHandler):
    """A chain of middleware that runs as a whole in the thread of a mount.

    An async chain would change threads twice for each middleware that is both sync and async, as Django's own are: that
    costs more than the rest of a mount. The chain is async only if some middleware is nothing but async.
    """

    answer: Callable[[Any], Awaitable[HttpResponseBase]]  # `run` or `arun`, to be called on a loop

    def load_middleware(self, is_async: bool = False) -> None:
        classes = map(import_string, settings.MIDDLEWARE)
        needs_loop = not all(getattr(one, "sync_capable", True) for one in classes)
        super().load_middleware(needs_loop)
        self.answer = self.arun if needs_loop else sync_to_async(self.run)

    def run(self, request: Any) -> HttpResponseBase:
        """Return the response of a sync chain, closed."""
        set_script_prefix(get_script_prefix(request.scope))
        try:
            request_started.send(sender=LiveHandler, scope=request.scope)
            response = self.get_response(request)
        except BaseException:
            request_finished.send(sender=LiveHandler)
            raise
        response._handler_class = LiveHandler  # type: ignore[attr-defined]
        response.close()
        return response

    async def arun(self, request: Any) -> HttpResponseBase:
        """Return the response of an async chain, closed."""
        set_script_prefix(get_script_prefix(request.scope))
        try:
            await request_started.asend(sender=LiveHandler, scope=request.scope)
            response = await self.run_get_response(request)
        except BaseException:
            await request_finished.asend(sender=LiveHandler)
            raise
        await sync_to_async(response.close)()
        return response


async def answer(request: Any) -> HttpResponseBase:
    """Return the response of the middleware and the view to *request*, closed."""
    handler = _handler or await sync_to_async(_get_handler, thread_sensitive=False)()
    return await handler.answer(request)


def template_response_middleware() -> Sequence[Callable[..., Any]]:
    """Return the methods of the project's middleware that process template responses, in Django's order."""
    methods = _get_handler()._template_response_middleware  # type: ignore[attr-defined]
    return [
        method.func
        if isinstance(method, SyncToAsync)
        else method.awaitable
        if isinstance(method, AsyncToSync)
        else method
        for method in methods
    ]


_handler: LiveHandler | None = None
_handler_lock = threading.Lock()


def _get_handler() -> LiveHandler:
    global _handler
    with _handler_lock:
        if _handler is None:
            _handler = LiveHandler()
        return _handler


def _drop_handler(**kwargs: Any) -> None:
    """Drop the chain after a change of settings in a test: middleware reads its settings once."""
    global _handler
    _handler = None


setting_changed.connect(_drop_handler, dispatch_uid="djust_presence.hosts.middleware")
