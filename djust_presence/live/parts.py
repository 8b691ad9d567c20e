"""The parts of a template, and the reasons why pages cannot share them: for the system check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.template import Node, TemplateDoesNotExist, TemplateSyntaxError
from django.template.base import FilterExpression
from django.template.loader_tags import ExtendsNode, IncludeNode

from .nodes import literal, read
from .reading import Reason

__all__ = ["LivePart", "reasons_of"]


class LivePart(Node):
    """A node that makes the template with this *name* a live part."""

    name: FilterExpression


def reasons_of(template: Any) -> dict[str, tuple[Reason, ...]]:
    """Return the reasons for each part of a compiled *template* that cannot be shared, by the part's name.

    Parts with a name that varies are left out, and so are templates that cannot be loaded.
    """
    found: dict[str, tuple[Reason, ...]] = {}
    for one in _all_of(template, set()):
        for node in one.nodelist.get_nodes_by_type(LivePart):
            if (name := literal(node.name)) and (part := _load(one.engine, name)):
                found[name] = read(part).reasons
    return {name: reasons for name, reasons in found.items() if reasons}


def _all_of(template: Any, seen: set[str]) -> Iterator[Any]:
    """Yield *template*, and the templates that it extends and includes by a constant name."""
    yield template
    nodes: list[Any] = template.nodelist.get_nodes_by_type((ExtendsNode, IncludeNode))
    for node in nodes:
        name = literal(node.parent_name if isinstance(node, ExtendsNode) else node.template)
        if name and name not in seen and (other := _load(template.engine, name)):
            seen.add(name)
            yield from _all_of(other, seen)


def _load(engine: Any, name: str) -> Any:
    try:
        return engine.get_template(name)
    except (TemplateDoesNotExist, TemplateSyntaxError):
        return None
