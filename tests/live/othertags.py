"""A library whose tags and filters differ from call to call, and stand in no SHARED_TAGS."""

from __future__ import annotations

import itertools
from typing import Any

from django import template

register = template.Library()
numbers = itertools.count()


@register.filter
def numbered(value: Any) -> str:
    return f"{value}{next(numbers)}"


@register.filter
def upper(value: Any) -> str:
    """One of Django's names."""
    return f"{value}{next(numbers)}"


@register.simple_tag
def number() -> int:
    return next(numbers)


class VariableNode(template.Node):
    def __init__(self, nodelist: template.NodeList) -> None:
        self.nodelist = nodelist

    def render(self, context: Any) -> str:
        return str(next(numbers))


@register.tag
def block_number(parser: Any, token: Any) -> VariableNode:
    nodelist = parser.parse(("end",))
    parser.delete_first_token()
    return VariableNode(nodelist)
