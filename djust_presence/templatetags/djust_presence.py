"""The template tags of live pages, and those of any page, which are in ``feed/tags.py``."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.template import Context, Library, Node, NodeList, TemplateSyntaxError
from django.template.base import UNKNOWN_SOURCE, FilterExpression, Origin, Parser, Token
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..cursors.position import LONGEST_NAME
from ..feed.page import renderings
from ..feed.script import client_script
from ..feed.tags import TAGS, request_of
from ..live import LiveView
from ..live.advice import advice_for_ordinary, is_live
from ..live.elements import NAMES, PLAIN, REFUSED, Element
from ..live.nodes import READERS, binding
from ..live.parts import LivePart
from ..live.placing import Tagged
from ..live.rendering import Part, TagPlace, active_regions
from ..live.script import advice_script, djust_script

__all__ = ["presence_script"]

register = Library()
renderings.append(active_regions)
for tag in TAGS:
    register.simple_tag(tag, takes_context=True)

# Keys in the ``extra_data`` of a template: the number of its live tags, and True if one is inline.
COUNT = "djust_presence.count"
INLINE = "djust_presence.inline"

ATTRIBUTE = re.compile(r"""([^\s"'<>/={}]+)(?:=(.+))?""", re.DOTALL)


class ElementExpression(NamedTuple):
    """The element after ``as`` in a ``{% live %}``: its name and its attributes."""

    name: str
    attributes: Mapping[str, FilterExpression | bool]

    def resolve(self, context: Context) -> Element:
        values = {
            name: value.resolve(context, ignore_failures=True)
            if isinstance(value, FilterExpression)
            else value
            for name, value in self.attributes.items()
        }
        return Element(self.name, values)


class LiveNode(Node):
    def __init__(self, place: TagPlace, nodelist: NodeList, element: ElementExpression | None) -> None:
        self.place = place
        self.nodelist = nodelist
        self.element = element

    def render(self, context: Context) -> str:
        regions = active_regions()
        element = self.element and self.element.resolve(context)
        if regions is None:
            return _ordinary(self.nodelist.render(context), element, context, self.place)
        assert context.template is not None
        regions.template = context.template
        page = _name(context.template.origin)
        return regions.add(self.place, page, partial(self.nodelist.render, context), element or PLAIN)


class LivePartNode(LivePart):
    def __init__(
        self,
        place: TagPlace,
        name: FilterExpression,
        extra_data: dict[str, Any],
        element: ElementExpression | None,
    ) -> None:
        self.place = place
        self.name = name
        self.extra_data = extra_data
        self.element = element

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
        element = self.element and self.element.resolve(context)
        if regions is None:
            return _ordinary(part.engine.get_template(name).render(context), element, context, self.place)
        regions.template = page
        return regions.add_part(part, fixed=self._is_fixed(context), element=element or PLAIN)

    def _is_fixed(self, context: Context) -> bool:
        """Return whether it is the same part each time, in a page of parts only: an if may hide an inline region."""
        literal = isinstance(self.name.var, str) and not self.name.filters
        page = getattr(context.template, "extra_data", {})  # a partial of a template has none
        return literal and INLINE not in self.extra_data and INLINE not in page


@register.tag
def live(parser: Parser, token: Token) -> Node:
    """Keep a part of the page current.

    ``{% live %}…{% endlive %}`` around it, or ``{% live "part.html" %}`` for a template of its own, which sees
    the view's context and nothing of a surrounding ``with`` or ``for``. Several are allowed, one in
    another is not. A template without any is live as a whole. In pages of other views the tag has no effect; with
    DEBUG the browser's console says so.

    The region is an element that does not affect layout; with ``as`` it is the given one, where HTML demands it, or for
    its attributes: ``{% live as tbody class="rows" data-count=count %}``. Values are literals or variables.
    """
    name, *arguments = token.split_contents()
    element = None
    if "as" in arguments:
        at = arguments.index("as")
        element = _read_element(parser, arguments[at + 1 :])
        arguments = arguments[:at]
    if len(arguments) > 1:
        raise TemplateSyntaxError(
            f"{{% {name} %}} takes at most one argument, the name of a template, and then an element: "
            f'{{% {name} "rows.html" as tbody class="rows" %}}.'
        )
    extra_data: dict[str, Any] = parser.extra_data
    extra_data[COUNT] = number = extra_data.get(COUNT, 0) + 1
    place = TagPlace(_name(parser.origin), token.lineno or 0, number)
    if arguments:
        return LivePartNode(place, parser.compile_filter(arguments[0]), extra_data, element)
    extra_data[INLINE] = True
    nodelist = parser.parse(("endlive",))
    parser.delete_first_token()
    return LiveNode(place, nodelist, element)


def _read_element(parser: Parser, words: list[str]) -> ElementExpression:
    name, *words = words or [""]
    if name not in NAMES:
        raise TemplateSyntaxError(
            f"{{% live as {name} %}}: a region may be one of these elements: {', '.join(sorted(NAMES))}."
        )
    attributes: dict[str, FilterExpression | bool] = {}
    for word in words:
        match = ATTRIBUTE.fullmatch(word)
        if match is None or "{{" in word:
            raise TemplateSyntaxError(
                f'{{% live as {name} {word} %}}: attributes of a region are written as in class="rows", or '
                "class=variable."
            )
        attribute, value = match[1].lower(), match[2]
        if attribute in REFUSED:
            raise TemplateSyntaxError(
                f"{{% live as {name} {word} %}}: a region cannot have this attribute, an element in it can."
            )
        if attribute in attributes:
            raise TemplateSyntaxError(f"{{% live as {name} %}}: {attribute} is there twice.")
        attributes[attribute] = parser.compile_filter(value) if value else True
    return ElementExpression(name, attributes)


def _ordinary(html: str, element: Element | None, context: Context, place: TagPlace) -> str:
    """Return the html for a page that is not live: the same, without the element that only marks a region."""
    if element:
        html = element.start(None) + html + element.end
    return html + _advice(context, "{% live %}", place)


class LiveCursorsNode(Node):
    def __init__(self, place: TagPlace, name: FilterExpression | None, nodelist: NodeList) -> None:
        self.place = place
        self.name = name
        self.nodelist = nodelist

    def render(self, context: Context) -> str:
        attributes = format_html(' guest="{}"', gettext("Guest"))
        if self.name is not None:
            attributes = format_html(' name="{}"{}', self._surface(self.name, context), attributes)
        start, end = f"<live-cursors{attributes}>", "</live-cursors>"
        html = self.nodelist.render(context)
        regions = active_regions()
        if regions is None:
            return start + html + end + _advice(context, "{% live_cursors %}", self.place)
        regions.template = context.template
        regions.tagged.append(Tagged("{% live_cursors %}", self.place, start, html, end))
        return start + html + end

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


READERS[LiveCursorsNode] = binding()


@register.tag
def live_cursors(parser: Parser, token: Token) -> Node:
    """Show everybody's pointer in an element: the first in ``{% live_cursors %}…{% endlive_cursors %}``.

    In a page with several, give each a name: ``{% live_cursors "canvas" %}``. In pages of other views there are no
    pointers.
    """
    name, *arguments = token.split_contents()
    if len(arguments) > 1:
        raise TemplateSyntaxError(f"{{% {name} %}} takes at most one argument, the name of its surface.")
    surface = parser.compile_filter(arguments[0]) if arguments else None
    nodelist = parser.parse(("endlive_cursors",))
    parser.delete_first_token()
    return LiveCursorsNode(TagPlace(_name(parser.origin), token.lineno or 0, 0), surface, nodelist)


@register.simple_tag(takes_context=True)
def presence_script(context: Any, times: Mapping[str, float] | None = None) -> SafeString | str:
    """Print the scripts that a page with presence needs, in its ``<head>``; nothing in mails and error pages.

    On pages of real djust's views they include a script for ``presence:<event>``, colours and cursors. The built-in
    host's live pages have one of their own.
    """
    request = request_of(context)
    if request is None:
        return ""
    of_djust = active_regions() is None and _may_be_of_djust(request)
    script = djust_script(request) if of_djust else SafeString("")
    try:
        return script + client_script(request, times)
    except ImproperlyConfigured:
        if of_djust or active_regions() is not None:
            return script  # the page shows only the presence of its own view
        raise


def _may_be_of_djust(request: HttpRequest) -> bool:
    if "djust" not in sys.modules:
        return False
    match = request.resolver_match
    view = getattr(match and match.func, "view_class", None)
    return not isinstance(view, type) or (is_live(view) and not issubclass(view, LiveView))


def _advice(context: Context, tag: str, place: TagPlace) -> SafeString | str:
    request: HttpRequest | None = getattr(context, "request", None)
    advice = advice_for_ordinary(request, tag, place)
    return advice_script(request, advice) if request and advice else ""


def _name(origin: Origin | None) -> str:
    """Return the name of a template, which is the same on every server; the file's path may differ."""
    return str((origin and origin.template_name) or UNKNOWN_SOURCE)
