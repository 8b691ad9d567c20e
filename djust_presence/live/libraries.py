"""The template libraries whose tags and filters depend only on their arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from django.template import Engine, Library, Node
from django.template import defaultfilters as builtin_filters
from django.template.library import InvalidTemplateLibrary, import_library
from django.templatetags import i18n, l10n, tz

from ..conf import get_settings

__all__ = ["OWN_FILTERS", "Shared", "shared_libraries", "unknown_libraries"]

# Django's filters whose result differs each time.
CHANGING = frozenset({"random", "timesince", "timeuntil"})


class Shared(NamedTuple):
    """The filters, and the functions and modules of tags, allowed in parts that pages share; functions by id."""

    filters: frozenset[int]
    tags: frozenset[int] = frozenset()
    modules: frozenset[str] = frozenset()

    def has_tag(self, node: Node) -> bool:
        """Return whether *node* is of a tag of a project's library."""
        function = getattr(node, "func", None)
        return type(node).__module__ in self.modules if function is None else id(function) in self.tags


OWN_FILTERS = frozenset(
    id(function)
    for library in (builtin_filters.register, i18n.register, l10n.register, tz.register)
    for name, function in library.filters.items()
    if name not in CHANGING
)


def shared_libraries(engine: Engine) -> Shared:
    """Return the shared libraries of *engine*: Django's own, and the project's SHARED_TAGS."""
    filters, tags, modules = set(OWN_FILTERS), set[int](), set[str]()
    for path, library in _named(engine):
        if library is not None:
            modules.add(path)
            filters.update(map(id, library.filters.values()))
            tags.update(id(getattr(compile, "__wrapped__", compile)) for compile in library.tags.values())
    return Shared(frozenset(filters), frozenset(tags), frozenset(modules))


def unknown_libraries(engine: Engine) -> list[str]:
    """Return the SHARED_TAGS that are not libraries of *engine*."""
    return [path for path, library in _named(engine) if library is None]


def _named(engine: Engine) -> Iterator[tuple[str, Library | None]]:
    libraries: dict[str, str] = engine.libraries
    for name in get_settings().shared_tags:
        path = libraries.get(name, name)
        try:
            yield path, import_library(path)
        except InvalidTemplateLibrary:
            yield name, None
