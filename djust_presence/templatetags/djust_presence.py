"""The template tags: ``{% live %}``."""

from __future__ import annotations

from functools import partial

from django.template import Context, Library, Node, NodeList, TemplateSyntaxError
from django.template.base import FilterExpression, Parser, Token
from django.template.context import make_context

from djust_presence.live.rendering import active_regions

register = Library()


class LiveNode(Node):
    def __init__(self, nodelist: NodeList) -> None:
        self.nodelist = nodelist

    def render(self, context: Context) -> str:
        regions = active_regions()
        if regions is None:
            return self.nodelist.render(context)
        return regions.add(_place(self), partial(self.nodelist.render, context))


class LivePartNode(Node):
    def __init__(self, name: FilterExpression) -> None:
        self.name = name

    def render(self, context: Context) -> str:
        engine = context.template.engine  # type: ignore[attr-defined]
        template = engine.get_template(self.name.resolve(context))
        regions = active_regions()
        if regions is None:
            return template.render(context)
        # Nothing of what surrounds the tag, so that the part comes out the same when rendered by itself.
        own = make_context(dict(regions.context), request=regions.request, autoescape=engine.autoescape)
        return regions.add(_place(self), partial(template.render, own))


def _place(node: Node) -> str:
    return f"{node.origin.name}:{node.token.lineno}"


@register.tag
def live(parser: Parser, token: Token) -> Node:
    """A part of the page that is kept current.

    ``{% live %}…{% endlive %}`` around it, or ``{% live "part.html" %}`` for a template of its own, which sees
    the view's context and nothing of a surrounding ``with`` or ``for``. Several are allowed, one in
    another is not. A template without any is live as a whole. In pages of other views the tag does nothing.
    """
    name, *arguments = token.split_contents()
    if len(arguments) > 1:
        raise TemplateSyntaxError(f"{{% {name} %}} takes at most one argument, the name of a template.")
    if arguments:
        return LivePartNode(parser.compile_filter(arguments[0]))
    nodelist = parser.parse(("endlive",))
    parser.delete_first_token()
    return LiveNode(nodelist)
