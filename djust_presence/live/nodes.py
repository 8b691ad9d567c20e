"""Readers of Django's own template nodes, each by its exact class."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.template import Node, Variable, defaulttags, loader_tags
from django.template.base import FilterExpression, TextNode, TokenType, VariableNode
from django.template.smartif import TokenBase
from django.templatetags import i18n, static, tz
from django.templatetags import l10n as localization

from .reading import ATTRIBUTES, NOTHING, PARENT, READERS, NodeReader, Reading, Scope, TemplateReader, read

__all__ = ["ATTRIBUTES", "READERS", "Reading", "binding", "literal", "read"]

SINGLETONS = ({"None"}, {"True"}, {"False"})


def binding(*attributes: str) -> NodeReader:
    """Return a reader of nodes that use the expressions and nodes in them; *attributes* name the bound variables."""

    def read(reader: TemplateReader, node: Any, scope: Scope) -> Collection[str]:
        reader.uses(vars(node), node, scope)
        return [name for attribute in attributes if (name := getattr(node, attribute))]

    return read


def _located(*attributes: str) -> NodeReader:
    """Return the same for nodes that depend on URLconf or script prefix."""
    read = binding(*attributes)

    def read_located(reader: TemplateReader, node: Any, scope: Scope) -> Collection[str]:
        reader.located = True
        return read(reader, node, scope)

    return read_located


def _nothing(reader: TemplateReader, node: Any, scope: Scope) -> Collection[str]:
    return NOTHING


def _if(reader: TemplateReader, node: defaulttags.IfNode, scope: Scope) -> Collection[str]:
    for condition, nodelist in node.conditions_nodelists:
        _condition(reader, condition, node, scope)
        reader.nodes(nodelist, scope)
    return NOTHING


def _condition(reader: TemplateReader, condition: Any, node: Node, scope: Scope) -> None:
    if isinstance(condition, defaulttags.TemplateLiteral):
        reader.uses(condition.value, node, scope)
    elif isinstance(condition, TokenBase):
        sides = [condition.first, condition.second]
        if str(condition.id).startswith("is") and not any(map(_is_singleton, sides)):
            reader.refuse(
                f"the operator {condition.id}", node, scope
            )  # equal values may be one object, or two
        for side in sides:
            _condition(reader, side, node, scope)


def _is_singleton(side: object) -> bool:
    value = getattr(side, "value", None)
    return (
        isinstance(value, FilterExpression)
        and not value.filters
        and isinstance(value.var, Variable)
        and value.var.lookups is not None
        and set(map(str, value.var.lookups)) in SINGLETONS
    )


def _for(reader: TemplateReader, node: defaulttags.ForNode, scope: Scope) -> Collection[str]:
    reader.uses(node.sequence, node, scope)
    parent = [PARENT] if "forloop" in scope.bound else NOTHING
    reader.uses(node.nodelist_loop, node, scope.binding([*node.loopvars, "forloop", *parent]))
    reader.uses(node.nodelist_empty, node, scope)
    return NOTHING


def _if_changed(reader: TemplateReader, node: Any, scope: Scope) -> Collection[str]:
    if "forloop" not in scope.bound:
        reader.name("forloop", node, scope)  # in which it keeps the last values
    return binding()(reader, node, scope)


def _with(reader: TemplateReader, node: defaulttags.WithNode, scope: Scope) -> Collection[str]:
    reader.uses(node.extra_context, node, scope)
    reader.nodes(node.nodelist, scope.binding(node.extra_context))
    return NOTHING


def _filter(reader: TemplateReader, node: defaulttags.FilterNode, scope: Scope) -> Collection[str]:
    reader.nodes(node.nodelist, scope)
    reader.uses(node.filter_expr, node, scope.binding(["var"]))
    return NOTHING


def _regroup(reader: TemplateReader, node: defaulttags.RegroupNode, scope: Scope) -> Collection[str]:
    reader.uses(node.target, node, scope)
    reader.uses(node.expression, node, scope.binding([node.var_name]))
    return [node.var_name]


def _url(reader: TemplateReader, node: defaulttags.URLNode, scope: Scope) -> Collection[str]:
    name = literal(node.view_name)
    if name is None or ":" in name:
        reader.refuse(f"{{% url {node.view_name} %}}, which depends on the request", node, scope)
    return _located("asvar")(reader, node, scope)


def _block_translate(reader: TemplateReader, node: Any, scope: Scope) -> Collection[str]:
    reader.uses([node.extra_context, node.counter, node.message_context], node, scope)
    inside = scope.binding([*node.extra_context, *([node.countervar] if node.countervar else [])])
    for token in [*node.singular, *(node.plural or ())]:
        if token.token_type == TokenType.VAR:
            reader.name(token.contents, node, inside)
    return [node.asvar] if node.asvar else NOTHING


def _include(reader: TemplateReader, node: loader_tags.IncludeNode, scope: Scope) -> Collection[str]:
    reader.uses(node.extra_context, node, scope)
    name = literal(node.template)
    if name is None:
        reader.refuse(f"{{% include {node.template} %}} of a variable", node, scope)
        return NOTHING
    if template := reader.find(name, node, scope):
        inside = Scope("", isolated=True) if node.isolated_context else scope
        reader.template(template, inside.binding(node.extra_context))
    return NOTHING


def _block(reader: TemplateReader, node: loader_tags.BlockNode, scope: Scope) -> Collection[str]:
    reader.nodes(node.nodelist, scope.binding(["block"]))
    return NOTHING


def _extends(reader: TemplateReader, node: Any, scope: Scope) -> Collection[str]:
    for block in node.blocks.values():
        _block(reader, block, scope)
    name = literal(node.parent_name)
    if name is None:
        reader.refuse(f"{{% extends {node.parent_name} %}} of a variable", node, scope)
    else:
        extended = (*reader.extended, node.origin)
        if parent := reader.find(name, node, scope, extended):
            reader.template(parent, scope, extended)
    return NOTHING


def _partial(reader: TemplateReader, node: Any, scope: Scope) -> Collection[str]:
    try:
        partial = node.partial_mapping[node.partial_name]
    except KeyError:
        reader.refuse(f"{{% partial {node.partial_name} %}}, which is not there", node, scope)
    else:
        reader.template(partial, scope)
    return NOTHING


def _partial_def(reader: TemplateReader, node: Any, scope: Scope) -> Collection[str]:
    return binding()(reader, node, scope) if node.inline else NOTHING


def literal(expression: Any) -> str | None:
    """Return the text that *expression* is, None if it is something else."""
    return expression.var if isinstance(expression.var, str) and not expression.filters else None


READERS.update(
    {
        TextNode: _nothing,
        VariableNode: binding(),
        defaulttags.AutoEscapeControlNode: binding(),
        defaulttags.CommentNode: _nothing,
        defaulttags.CycleNode: binding("variable_name"),
        defaulttags.FilterNode: _filter,
        defaulttags.FirstOfNode: binding("asvar"),
        defaulttags.ForNode: _for,
        defaulttags.IfChangedNode: _if_changed,
        defaulttags.IfNode: _if,
        defaulttags.LoadNode: _nothing,
        defaulttags.RegroupNode: _regroup,
        defaulttags.ResetCycleNode: _nothing,
        defaulttags.SpacelessNode: binding(),
        defaulttags.TemplateTagNode: _nothing,
        defaulttags.URLNode: _url,
        defaulttags.VerbatimNode: _nothing,
        defaulttags.WidthRatioNode: binding("asvar"),
        defaulttags.WithNode: _with,
        loader_tags.BlockNode: _block,
        loader_tags.ExtendsNode: _extends,
        loader_tags.IncludeNode: _include,
        i18n.BlockTranslateNode: _block_translate,
        i18n.GetAvailableLanguagesNode: binding("variable"),
        i18n.GetCurrentLanguageBidiNode: binding("variable"),
        i18n.GetCurrentLanguageNode: binding("variable"),
        i18n.GetLanguageInfoListNode: binding("variable"),
        i18n.GetLanguageInfoNode: binding("variable"),
        i18n.LanguageNode: binding(),
        i18n.TranslateNode: binding("asvar"),
        localization.LocalizeNode: binding(),
        static.PrefixNode: _located("varname"),
        static.StaticNode: _located("varname"),
        tz.GetCurrentTimezoneNode: binding("variable"),
        tz.LocalTimeNode: binding(),
        tz.TimezoneNode: binding(),
    }
)
if hasattr(defaulttags, "PartialNode"):  # since Django 6.0
    READERS.update({defaulttags.PartialNode: _partial, defaulttags.PartialDefNode: _partial_def})
