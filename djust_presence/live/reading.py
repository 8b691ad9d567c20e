"""The reading of a compiled template: the variables that it shows, and the reasons why pages cannot share it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from django.template import Engine, Node, NodeList, Origin, TemplateDoesNotExist, TemplateSyntaxError
from django.template.base import FilterExpression, Variable
from django.template.context import RequestContext
from django.template.library import InclusionNode, TagHelperNode

from ..conf import on_change
from .libraries import OWN_FILTERS, Shared, shared_libraries

__all__ = [
    "ATTRIBUTES",
    "NOTHING",
    "PARENT",
    "READERS",
    "NodeReader",
    "Reading",
    "Reason",
    "Scope",
    "TemplateReader",
    "read",
]

MAX_NODES = 10_000  # in a template with those that it includes
NOTHING: frozenset[str] = frozenset()
# Variables of the reader or the page; tags keep state in a forloop of the view.
PERSONAL = frozenset({"csrf_token", "forloop", "perms", "request", "user", "view"})
# Names that a template looks up as attributes of its context, where that has no such variable.
ATTRIBUTES = frozenset(vars(RequestContext(None)))  # type: ignore[arg-type]
# Methods that a lookup may call, and that change a list or dictionary, or return the time.
EFFECTS = frozenset({"clear", "now", "pop", "popitem", "reverse", "sort", "today", "utcnow"})
COUNTERS = frozenset({"counter", "counter0", "first", "last", "revcounter", "revcounter0"})  # of a forloop
PARENT = "forloop.parentloop"  # as a bound name
QUOTED = re.compile(r"""("[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*')""")
WORD = re.compile(r"(?<![\w.|])[^\W\d]\w*")


class Reason(NamedTuple):
    """A node of a template because of which pages cannot share it."""

    what: str
    template: str
    line: int

    def __str__(self) -> str:
        return f"{self.what} ({self.template}:{self.line})" if self.line else f"{self.what} ({self.template})"


class Found(NamedTuple):
    """Another template that the one that was read includes or extends."""

    name: str
    skip: Sequence[Origin] | None
    template: Any

    def load(self, engine: Engine) -> Any:
        """Return the present template. Raises ``TemplateDoesNotExist`` or ``TemplateSyntaxError``."""
        if self.skip is None:
            return engine.get_template(self.name)
        return engine.find_template(self.name, skip=list(self.skip))[0]


class Reading(NamedTuple):
    """The variables of the view's context that a template shows, and the reasons not to share it; with *found* in it.

    *located*: it may depend on URLconf and script prefix.
    """

    names: tuple[str, ...]
    reasons: tuple[Reason, ...]
    found: tuple[Found, ...]
    located: bool

    def is_current(self, engine: Engine) -> bool:
        """Return whether the loaders still find the same templates."""
        try:
            return all(one.load(engine) is one.template for one in self.found)
        except (TemplateDoesNotExist, TemplateSyntaxError):
            return False


class Scope(NamedTuple):
    """The scope of a node: the variables that tags around it have *bound*; if *isolated*, it sees no others."""

    template: str
    bound: frozenset[str] = NOTHING
    isolated: bool = False

    def binding(self, names: Iterable[str]) -> Scope:
        return self._replace(bound=self.bound.union(names))


class TemplateReader:
    """Reads the nodes of one template, and of those that it includes and extends."""

    def __init__(self, engine: Engine, shared: Shared) -> None:
        self.engine = engine
        self.shared = shared
        self.names: set[str] = set()
        self.located = False
        self.reasons: dict[Reason, None] = {}
        self.found: list[Found] = []
        self.extended: tuple[Origin, ...] = ()  # the templates that extend this one
        self._inside: set[tuple[int, Scope]] = set()
        self._left = MAX_NODES

    def template(self, template: Any, scope: Scope, extended: tuple[Origin, ...] = ()) -> None:
        """Read *template*, a compiled one, where the variables of *scope* are bound."""
        scope = scope._replace(template=_name(template))
        inside = id(template), scope
        if inside in self._inside:  # it includes itself
            return
        self._inside.add(inside)
        before, self.extended = self.extended, extended
        self.nodes(template.nodelist, scope)
        self.extended = before
        self._inside.discard(inside)

    def nodes(self, nodes: Iterable[Node], scope: Scope) -> None:
        for node in nodes:
            scope = scope.binding(self._node(node, scope))

    def _node(self, node: Node, scope: Scope) -> Iterable[str]:
        """Read *node*; return the variables that it binds for those after it."""
        self._left -= 1
        if self._left < 0:
            self.refuse("more than it can take in", node, scope)
            return NOTHING
        if reader := READERS.get(type(node)):
            return reader(self, node, scope)
        if self.shared.has_tag(node):
            return self._shared(node, scope)
        self.refuse(f"{{% {_tag(node)} %}}", node, scope)
        return NOTHING

    def _shared(self, node: Any, scope: Scope) -> Iterable[str]:
        """Read a node of a project's library that depends on nothing but its arguments."""
        self.located = True
        self.uses(getattr(node, "__dict__", None), node, scope)
        if not isinstance(node, TagHelperNode):  # it may keep only the names of its arguments
            words = QUOTED.sub("", getattr(node.token, "contents", "")).split(None, 1)[1:]
            for name in WORD.findall(" ".join(words)):
                self.name(name, node, scope)
            return NOTHING
        if node.takes_context:
            self.refuse(f"{{% {_tag(node)} %}}, which takes the context", node, scope)
        if isinstance(node, InclusionNode):
            name = node.filename if isinstance(node.filename, str) else ""
            if template := self.find(name, node, scope):
                self.template(template, Scope("", isolated=True))
        return [name] if (name := getattr(node, "target_var", None)) else NOTHING

    # Other templates

    def find(self, name: str, node: Node, scope: Scope, skip: Sequence[Origin] | None = None) -> Any:
        """Return the template *name* that *node* includes or extends; None if it is refused."""
        found = Found(name, skip, None)
        try:
            template = found.load(self.engine)
        except (TemplateDoesNotExist, TemplateSyntaxError) as error:
            self.refuse(f"{{% {_tag(node)} %}} of {name!r}: {type(error).__name__}", node, scope)
            return None
        self.found.append(found._replace(template=template))
        return template

    # Variables

    def uses(self, value: object, node: Node, scope: Scope) -> None:
        """Read the expressions, variables and nodes in *value*, which may be in lists and dictionaries."""
        match value:
            case FilterExpression():
                self.uses(value.var, node, scope)
                for function, arguments in value.filters:
                    self.located |= id(function) not in OWN_FILTERS
                    if id(function) not in self.shared.filters:
                        self.refuse(f"the filter {getattr(function, '_filter_name', function)}", node, scope)
                    self.uses([one for is_variable, one in arguments if is_variable], node, scope)
            case Variable():
                if value.lookups is not None:
                    self._lookups(tuple(map(str, value.lookups)), node, scope)
            case NodeList():
                self.nodes(value, scope)
            case Node():
                self.nodes([value], scope)
            case list() | tuple():
                for one in value:
                    self.uses(one, node, scope)
            case dict():
                for one in value.values():
                    self.uses(one, node, scope)

    def _lookups(self, lookups: tuple[str, ...], node: Node, scope: Scope) -> None:
        name, *rest = lookups
        if EFFECTS.intersection(rest):
            self.refuse(f"the lookup {'.'.join(lookups)}", node, scope)
        if name == "block" and name in scope.bound and rest not in (["super"], ["name"]):
            self.refuse(f"the variable {'.'.join(lookups)}", node, scope)
        if name == "forloop":
            if rest[:1] == ["parentloop"] and PARENT in scope.bound:
                rest = rest[1:]
            if not COUNTERS.issuperset(rest[:1] or [""]):
                scope = scope._replace(bound=scope.bound - {name})  # its parent may be a forloop of the view
        self.name(name, node, scope)

    def name(self, name: str, node: Node, scope: Scope) -> None:
        """Read a variable that *node* uses."""
        if name in scope.bound:
            return
        if name in PERSONAL or (scope.isolated and name in ATTRIBUTES):
            self.refuse(f"the variable {name}", node, scope)
        if not scope.isolated:
            self.names.add(name)

    def refuse(self, what: str, node: Node, scope: Scope) -> None:
        self.reasons[Reason(what, scope.template, getattr(node.token, "lineno", 0) or 0)] = None


NodeReader = Callable[[TemplateReader, Any, Scope], Collection[str]]
READERS: dict[type[Node], NodeReader] = {}

_readings: WeakKeyDictionary[Any, Reading] = WeakKeyDictionary()
on_change(_readings.clear)


def read(template: Any) -> Reading:
    """Return the reading of a compiled *template*, made once, and again when a template that it includes changes."""
    reading = _readings.get(template)
    if reading is None or not reading.is_current(template.engine):
        reader = TemplateReader(template.engine, shared_libraries(template.engine))
        try:
            reader.template(template, Scope(""))
        except Exception as error:  # of a node that a project has changed; it may render all the same
            reader.reasons[
                Reason(f"what is in it, for {type(error).__name__}: {error}", _name(template), 0)
            ] = None
        reading = Reading(
            tuple(sorted(reader.names)), tuple(reader.reasons), tuple(reader.found), reader.located
        )
        _readings[template] = reading
    return reading


def _name(template: Any) -> str:
    return str(template.name or "a template without a name")


def _tag(node: Node) -> str:
    words = getattr(node.token, "contents", "").split()
    return words[0] if words else type(node).__name__
