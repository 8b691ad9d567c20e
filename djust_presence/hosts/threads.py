"""Tasks of async user code, and the ambient settings of a request, restored in another thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, TypeVar

from django.urls import get_script_prefix, get_urlconf, set_script_prefix, set_urlconf
from django.utils import timezone, translation

from ..tasks import start

__all__ = ["Ambient", "Ambients", "spawn"]

T = TypeVar("T")

# References to running tasks: a handler, for one, runs to its end though the page is gone.
_tasks: set[asyncio.Task[None]] = set()


def spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run *work* in an empty context, so that one visitor's language or caches do not reach another."""
    task = start(work, Context())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


@dataclass(frozen=True, slots=True)
class Ambient:
    """The settings of middleware around a request, to be restored when its view renders later."""

    language: str | None
    zone: tzinfo
    urlconf: str | None
    script_prefix: str

    @classmethod
    def capture(cls) -> Ambient:
        return cls(
            translation.get_language(), timezone.get_current_timezone(), get_urlconf(), get_script_prefix()
        )

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Restore the captured settings in this block; afterwards they are as before."""
        urlconf, script_prefix = get_urlconf(), get_script_prefix()
        with translation.override(self.language), timezone.override(self.zone):
            set_urlconf(self.urlconf)
            set_script_prefix(self.script_prefix)
            try:
                yield
            finally:
                set_urlconf(urlconf)
                set_script_prefix(script_prefix)

    @property
    def in_force(self) -> bool:
        """True if `Ambients` has restored it."""
        return _in_force.get() is self

    def enter(self) -> None:
        """Restore everything for the rest of a context."""
        if self.language is None:
            translation.deactivate_all()
        else:
            translation.activate(self.language)
        timezone.activate(self.zone)
        set_urlconf(self.urlconf)
        set_script_prefix(self.script_prefix)


_in_force: ContextVar[Ambient | None] = ContextVar("djust_presence.ambient", default=None)


class Ambients:
    """Runs code of many pages in one thread, each in a context of its own, in which its ambient is in force.

    To copy a context takes a fraction of the time that restoring all of an ambient takes.
    """

    def __init__(self) -> None:
        self._contexts: dict[tuple[object, ...], Context] = {}

    def run(self, ambient: Ambient, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Return what *function* returns where *ambient* is in force, which it may change for itself."""
        # By identity: equal time zones may have different names.
        settings = ambient.language, id(ambient.zone), id(ambient.urlconf), ambient.script_prefix
        context = self._contexts.get(settings)
        if context is None:
            context = self._contexts[settings] = copy_context()
            context.run(ambient.enter)
        context = context.copy()
        context.run(_in_force.set, ambient)
        return context.run(function, *args, **kwargs)
