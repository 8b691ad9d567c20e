"""The template tags: ``{% live %}``."""

from __future__ import annotations

from functools import partial

from django.template import Context, Library, Node, NodeList, TemplateSyntaxError
from django.template.base import FilterExpression, Parser, Token
from django.template.context import make_context

from ..live.rendering import active_regions

register = Library()


class LiveNode(Node):
    def __init__(self, place: str, nodelist: NodeList) -> None:
        self.place = place
        self.nodelist = nodelist

    def render(self, context: Context) -> str:
        regions = active_regions()
        if regions is None:
            return self.nodelist.render(context)
        return regions.add(self.place, partial(self.nodelist.render, context))


class LivePartNode(Node):
    def __init__(self, place: str, name: FilterExpression) -> None:
        self.place = place
        self.name = name

    def render(self, context: Context) -> str:
        assert context.template is not None
        engine = context.template.engine
        template = engine.get_template(self.name.resolve(context))
        regions = active_regions()
        if regions is None:
            return template.render(context)
        # Nothing of what surrounds the tag, so that the part comes out the same when rendered by itself.
        own = make_context(dict(regions.context), request=regions.request, autoescape=engine.autoescape)
        return regions.add(self.place, partial(template.render, own))


@register.tag
def live(parser: Parser, token: Token) -> Node:
    """A part of the page that is kept current.

    ``{% live %}…{% endlive %}`` around it, or ``{% live "part.html" %}`` for a template of its own, which sees
    the view's context and nothing of a surrounding ``with`` or ``for``. Several are allowed, one in
    another is not. A template without any is live as a whole. In pages of other views the tag changes nothing.
    """
    name, *arguments = token.split_contents()
    if len(arguments) > 1:
        raise TemplateSyntaxError(f"{{% {name} %}} takes at most one argument, the name of a template.")
    place = f"{parser.origin.name if parser.origin else '?'}:{token.lineno}"
    if arguments:
        return LivePartNode(place, parser.compile_filter(arguments[0]))
    nodelist = parser.parse(("endlive",))
    parser.delete_first_token()
    return LiveNode(place, nodelist)
