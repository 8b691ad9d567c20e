"""The template tags: of live pages, and those of any page, which are in ``feed/tags.py``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.template import Context, Library, Node, NodeList, TemplateSyntaxError
from django.template.base import UNKNOWN_SOURCE, FilterExpression, Origin, Parser, Token
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..cursors.position import LONGEST_NAME
from ..feed.page import renderings
from ..feed.script import client_script
from ..feed.tags import TAGS, request_of
from ..hosts.nonce import nonce_attribute
from ..live import LiveView
from ..live.advice import advice_for_ordinary, is_live
from ..live.rendering import Part, Place, active_regions
from ..live.script import advice_script

register = Library()
renderings.append(active_regions)
for tag in TAGS:
    register.simple_tag(tag, takes_context=True)

# What is kept of a template's live tags in its ``extra_data``: how many there are, and whether one is inline.
COUNT = "djust_presence.count"
INLINE = "djust_presence.inline"


class LiveNode(Node):
    def __init__(self, place: Place, nodelist: NodeList) -> None:
        self.place = place
        self.nodelist = nodelist

    def render(self, context: Context) -> str:
        regions = active_regions()
        if regions is None:
            return self.nodelist.render(context) + _advice(context, "{% live %}", self.place)
        assert context.template is not None
        return regions.add(self.place, _name(context.template.origin), partial(self.nodelist.render, context))


class LivePartNode(Node):
    def __init__(self, place: Place, name: FilterExpression, extra_data: dict[str, Any]) -> None:
        self.place = place
        self.name = name
        self.extra_data = extra_data

    def render(self, context: Context) -> str:
        assert context.template is not None
        name = self.name.resolve(context, ignore_failures=True)
        if not isinstance(name, str):
            raise TemplateSyntaxError(
                f"{{% live {self.name.token} %}} at {self.place} wants the name of a template, not {name!r}."
            )
        page = context.template
        part = Part(self.place, _name(page.origin), page.engine, name)
        regions = active_regions()
        if regions is None:
            return part.engine.get_template(name).render(context) + _advice(context, "{% live %}", self.place)
        return regions.add_part(part, fixed=self._is_fixed(context))

    def _is_fixed(self, context: Context) -> bool:
        """Whether it is the same part each time, beside none but parts: an inline region may be hidden by an if."""
        literal = isinstance(self.name.var, str) and not self.name.filters
        page = getattr(context.template, "extra_data", {})  # which a partial of a template has not
        return literal and INLINE not in self.extra_data and INLINE not in page


@register.tag
def live(parser: Parser, token: Token) -> Node:
    """A part of the page that is kept current.

    ``{% live %}…{% endlive %}`` around it, or ``{% live "part.html" %}`` for a template of its own, which sees
    the view's context and nothing of a surrounding ``with`` or ``for``. Several are allowed, one in
    another is not. A template without any is live as a whole. In pages of other views the tag changes nothing; with
    DEBUG they say so.
    """
    name, *arguments = token.split_contents()
    if len(arguments) > 1:
        raise TemplateSyntaxError(f"{{% {name} %}} takes at most one argument, the name of a template.")
    extra_data: dict[str, Any] = parser.extra_data
    extra_data[COUNT] = number = extra_data.get(COUNT, 0) + 1
    place = Place(_name(parser.origin), token.lineno or 0, number)
    if arguments:
        return LivePartNode(place, parser.compile_filter(arguments[0]), extra_data)
    extra_data[INLINE] = True
    nodelist = parser.parse(("endlive",))
    parser.delete_first_token()
    return LiveNode(place, nodelist)


class LiveCursorsNode(Node):
    def __init__(self, place: Place, name: FilterExpression | None, nodelist: NodeList) -> None:
        self.place = place
        self.name = name
        self.nodelist = nodelist

    def render(self, context: Context) -> str:
        advice = _advice(context, "{% live_cursors %}", self.place) if active_regions() is None else ""
        attributes = format_html(' guest="{}"', gettext("Guest"))
        if self.name is not None:
            attributes = format_html(' name="{}"{}', self._surface(self.name, context), attributes)
        return f"<live-cursors{attributes}>{self.nodelist.render(context)}</live-cursors>{advice}"

    def _surface(self, expression: FilterExpression, context: Context) -> str:
        name = expression.resolve(context, ignore_failures=True)
        if isinstance(name, int):
            name = str(name)
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
            raise TemplateSyntaxError(
                f"{{% live_cursors {expression.token} %}} wants the name of a surface, a text of up to "
                f"{LONGEST_NAME} characters, not {name!r}."
            )
        return name


@register.tag
def live_cursors(parser: Parser, token: Token) -> Node:
    """An element that shows everybody's pointer: the first in ``{% live_cursors %}…{% endlive_cursors %}``.

    A page with several gives each a name: ``{% live_cursors "canvas" %}``. In pages of other views there are none
    to show.
    """
    name, *arguments = token.split_contents()
    if len(arguments) > 1:
        raise TemplateSyntaxError(f"{{% {name} %}} takes at most one argument, the name of its surface.")
    surface = parser.compile_filter(arguments[0]) if arguments else None
    nodelist = parser.parse(("endlive_cursors",))
    parser.delete_first_token()
    return LiveCursorsNode(Place(_name(parser.origin), token.lineno or 0, 0), surface, nodelist)


@register.simple_tag(takes_context=True)
def presence_script(context: Any, times: Mapping[str, float] | None = None) -> SafeString | str:
    """The scripts that a page with presence needs, for its ``<head>``; nothing in mails and error pages.

    On pages of real djust's views that is also a script for ``presence:<event>``, colours and cursors. The built-in
    host's live pages have one of their own.
    """
    request = request_of(context)
    if request is None:
        return ""
    of_djust = active_regions() is None and _may_be_of_djust(request)
    script = _djust_script(request) if of_djust else SafeString("")
    try:
        return script + client_script(request, times)
    except ImproperlyConfigured:
        if of_djust or active_regions() is not None:
            return script  # of such a page, which shows nothing but its own view's presence
        raise


def _may_be_of_djust(request: HttpRequest) -> bool:
    if "djust" not in sys.modules:
        return False
    match = request.resolver_match
    view = getattr(match and match.func, "view_class", None)
    return not isinstance(view, type) or (is_live(view) and not issubclass(view, LiveView))


def _djust_script(request: HttpRequest) -> SafeString:
    return format_html(
        '<script src="{}" defer data-cursors="{}"{}></script>',
        static("djust_presence/djust.js"),
        static("djust_presence/cursors.js"),
        nonce_attribute(request),
    )


def _advice(context: Context, tag: str, place: Place) -> SafeString | str:
    request: HttpRequest | None = getattr(context, "request", None)
    advice = advice_for_ordinary(request, tag, place)
    return advice_script(request, advice) if request and advice else ""


def _name(origin: Origin | None) -> str:
    """The name of a template, as it is on every server; the file may lie elsewhere."""
    return str((origin and origin.template_name) or UNKNOWN_SOURCE)
