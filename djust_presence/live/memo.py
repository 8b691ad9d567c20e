"""The renderings of one refresh: pages whose part shows the same share the first one's html."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

from django.template import Engine
from django.urls import get_script_prefix, get_urlconf
from django.utils import timezone, translation

from ..hosts.outgoing import Changed
from .nodes import ATTRIBUTES, Reading, read
from .values import Same, Unshareable, fingerprint

__all__ = ["MAX_KEPT", "Memo", "digest"]

MAX_KEPT = 32  # renderings, and regions: these may be whole pages
BUILTINS = frozenset({"True", "False", "None"})  # in any context

# The variables of Django's context processors that differ between pages with the same language, time zone and
# address space.
OF_REQUEST: Mapping[str, frozenset[str]] = {
    "django.contrib.auth.context_processors.auth": frozenset({"user", "perms"}),
    "django.contrib.messages.context_processors.messages": frozenset({"messages", "DEFAULT_MESSAGE_LEVELS"}),
    "django.template.context_processors.csp": frozenset({"csp_nonce"}),
    "django.template.context_processors.csrf": frozenset({"csrf_token"}),
    "django.template.context_processors.debug": frozenset({"debug", "sql_queries"}),
    "django.template.context_processors.i18n": frozenset(),
    "django.template.context_processors.media": frozenset(),
    "django.template.context_processors.request": frozenset({"request"}),
    "django.template.context_processors.static": frozenset(),
    "django.template.context_processors.tz": frozenset(),
}


class SharedHtml(str):
    """The html of a part that several pages show."""

    @cached_property
    def digest(self) -> bytes:
        return _digest(self)


def digest(html: str) -> bytes:
    return html.digest if isinstance(html, SharedHtml) else _digest(html)


def _digest(html: str) -> bytes:
    return blake2b(html.encode(errors="surrogatepass"), digest_size=16).digest()


class Part(Protocol):
    """A region with a template of its own."""

    @property
    def engine(self) -> Engine: ...
    @property
    def name(self) -> str: ...


class Template(NamedTuple):
    """A compiled template with its reading, and the variables that its engine takes from requests."""

    same: Same
    reading: Reading
    names: frozenset[str]
    of_request: frozenset[str] | None

    @classmethod
    def of(cls, engine: Engine, compiled: Any) -> Template:
        reading = read(compiled)
        return cls(Same(compiled), reading, frozenset(reading.names), _of_request(engine))


class Memo:
    """The memory of one refresh, from any thread."""

    def __init__(self) -> None:
        self._html: dict[Hashable, SharedHtml] = {}
        self._regions: dict[tuple[tuple[str, str], ...], Changed] = {}
        self._templates: dict[tuple[int, str], Template] = {}

    def recall(self, parts: Iterable[Part], context: Mapping[str, Any]) -> list[SharedHtml] | None:
        """Return the html of each of *parts* if pages that show the same have rendered all of them, else None."""
        found = []
        for part in parts:
            key = self._key(self._template(part.engine, part.name), context)
            html = None if key is None else self._html.get(key)
            if html is None:
                return None
            found.append(html)
        return found

    def render(self, engine: Engine, name: str, context: Mapping[str, Any], render: Callable[[], str]) -> str:
        """Return the html of a template, from *render* or from another page for which it is the same.

        *context* has the view's variables.
        """
        key = self._key(self._template(engine, name), context)
        if key is None:
            return render()
        html = self._html.get(key)
        if html is None:
            html = SharedHtml(render())
            if len(self._html) >= MAX_KEPT:
                self._html.clear()
            self._html[key] = html
        return html

    def _key(self, template: Template, context: Mapping[str, Any]) -> Hashable | None:
        """Return a key of all that the html depends on, None if that is not known."""
        reading, missing = template.reading, None
        if reading.reasons:
            return None
        names = reading.names
        if not context.keys() >= template.names:
            names = tuple(name for name in names if name in context)
            missing = template.names.difference(names, BUILTINS)
            if missing and (template.of_request is None or missing & (template.of_request | ATTRIBUTES)):
                return None
        try:
            values = fingerprint([context[name] for name in names])
        except Unshareable:
            return None
        return template.same, _ambient(), _address() if reading.located or missing else None, names, values

    def _template(self, engine: Engine, name: str) -> Template:
        """Return the template as it was when it was first asked for."""
        found = self._templates.get((id(engine), name))
        if found is None:
            found = self._templates[id(engine), name] = Template.of(engine, engine.get_template(name))
        return found

    def share(self, regions: Changed) -> Changed:
        """Return *regions*, or equal ones of another page: so they are encoded once, and kept once."""
        if len(self._regions) >= MAX_KEPT:
            self._regions.clear()
        return self._regions.setdefault(tuple(regions.items()), regions)


def _ambient() -> Hashable:
    """Return the active language and time zone; equal time zones may have different names."""
    return translation.get_language(), Same(timezone.get_current_timezone())


def _address() -> Hashable:
    urlconf: Any = get_urlconf()
    return urlconf if isinstance(urlconf, str) else Same(urlconf), get_script_prefix()


def _of_request(engine: Engine) -> frozenset[str] | None:
    """Return the variables that context processors take from the request; None if some are not known."""
    found: frozenset[str] = frozenset()
    for function in engine.template_context_processors:
        names = OF_REQUEST.get(
            f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
        )
        if names is None:
            return None
        found |= names
    return found
