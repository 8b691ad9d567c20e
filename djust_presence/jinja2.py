"""The template tags of presence on any page as functions of Jinja2's templates: ``{{ presence_count("site") }}``."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, pass_context
from jinja2.ext import Extension

from .feed.tags import TAGS
from .templatetags.djust_presence import presence_script

__all__ = ["PresenceExtension", "environment"]


class PresenceExtension(Extension):
    """Adds the functions to an environment: for ``extensions`` in the OPTIONS of Django's Jinja2 backend."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        for function in (*TAGS, presence_script):
            environment.globals[function.__name__] = pass_context(function)


def environment(**options: Any) -> Environment:
    """Return an environment with the functions: for ``environment`` in the OPTIONS of Django's Jinja2 backend."""
    made = Environment(**options)
    made.add_extension(PresenceExtension)
    return made
