"""A library of template tags and filters that depend on nothing but their arguments, but for those that say so."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django import template

register = template.Library()
numbers = itertools.count()


_counts: list[Any] | None = None


@contextmanager
def counting() -> Iterator[list[Any]]:
    """Collect what the filter ``counted`` is given in this block, in any thread."""
    global _counts
    _counts = []
    try:
        yield _counts
    finally:
        _counts = None


@register.filter
def counted(value: Any) -> Any:
    if _counts is not None:
        _counts.append(value)
    return value


@register.filter
def double(value: Any) -> Any:
    return value * 2


@register.simple_tag
def added(*values: Any, of: Any = "") -> str:
    return "+".join(map(str, (*values, of)))


@register.simple_tag(takes_context=True)
def told(context: Any) -> str:
    return str(context.get("a"))


@register.inclusion_tag("shown")
def shown(value: Any) -> dict[str, Any]:
    return {"value": value}


@register.inclusion_tag("asking")
def asking(value: Any) -> dict[str, Any]:
    return {"value": value}


class Named(template.Node):
    """Looks up a variable whose name is all that it keeps."""

    def __init__(self, name: str, nodelist: template.NodeList) -> None:
        self.kept = name
        self.nodelist = nodelist

    def render(self, context: Any) -> str:
        return f"[{context.get(self.kept)!s}{self.nodelist.render(context)}]"


@register.tag
def named(parser: Any, token: Any) -> Named:
    _, name = token.split_contents()
    nodelist = parser.parse(("endnamed",))
    parser.delete_first_token()
    return Named(name, nodelist)
