"""System checks of the routed views, and of the application that serves their sockets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from channels.routing import ProtocolTypeRouter, get_default_application
from django.apps import AppConfig
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler
from django.template import Template, TemplateDoesNotExist, TemplateSyntaxError, engines
from django.template.backends.django import DjangoTemplates
from django.template.loader import get_template
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from django.views.generic import View

from ..backends.registry import get_backend
from ..conf import name_of
from ..live import LiveView
from ..live.advice import is_live
from ..live.libraries import unknown_libraries
from ..live.parts import reasons_of
from ..live.reading import Reason
from ..mixins import PresenceMixin

ROUTES = 'ProtocolTypeRouter({"http": get_asgi_application(), "websocket": LiveViewConsumer.as_asgi()})'


@register(Tags.urls)
def check_routed_views(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that views with presence are live, and that the sockets of live ones are routed."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    views = dict.fromkeys(_routed(get_resolver().url_patterns))
    messages: list[CheckMessage] = [
        Warning(
            f"{view.__module__}.{view.__qualname__} is a PresenceMixin, but not a live view, so nobody is ever present on its page.",
            hint=f"Derive it from LiveView as well: class {view.__name__}(PresenceMixin, LiveView, …). "
            "To read or broadcast only, use djust_presence.presence instead.",
            id="djust_presence.W008",
        )
        for view in views
        if issubclass(view, PresenceMixin) and issubclass(view, View) and not is_live(view)
    ]
    if any(issubclass(view, LiveView) for view in views):
        messages += _check_application()
    return messages


@register(Tags.urls)
def check_any_page(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that pages which poll share a store, if the URLs of presence on any page are routed."""
    if not getattr(settings, "ROOT_URLCONF", None) or getattr(settings, "ASGI_APPLICATION", None):
        return []
    try:
        reverse("djust_presence:feed")
        shared = get_backend().shared
    except (NoReverseMatch, ImproperlyConfigured):  # the latter is reported by check_settings
        return []
    if shared:
        return []
    return [
        Warning(
            "Pages show presence under WSGI, but it is kept in the memory of one process: with several, each counts only those who poll it.",
            hint=f"Set {name_of('BACKEND')} to 'redis', or serve an ASGI_APPLICATION.",
            id="djust_presence.W009",
        )
    ]


@register("djust_presence")
def check_shared_tags(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that SHARED_TAGS are template libraries."""
    try:
        unknown = {
            name
            for engine in engines.all()
            if isinstance(engine, DjangoTemplates)
            for name in unknown_libraries(engine.engine)
        }
    except ImproperlyConfigured:  # reported by check_settings, or by Django
        return []
    return [
        Error(
            f"DJUST_PRESENCE['SHARED_TAGS'] names {name!r}, which is not a template library.",
            hint="Name libraries as {% load %} does, or by the dotted path of their module.",
            id="djust_presence.E018",
        )
        for name in sorted(unknown)
    ]


@register("djust_presence", deploy=True)
def check_shared_parts(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Report the parts of live pages that each page renders by itself, with the reasons."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return []
    views = [
        view for view in dict.fromkeys(_routed(get_resolver().url_patterns)) if issubclass(view, LiveView)
    ]
    found: dict[str, tuple[Reason, ...]] = {}
    for name in dict.fromkeys(
        view.template_name for view in views if view.share_parts and view.template_name
    ):
        with suppress(TemplateDoesNotExist, TemplateSyntaxError):
            template = getattr(get_template(name), "template", None)
            if isinstance(template, Template):
                found |= reasons_of(template)
    return [
        Info(
            f"Each page renders the live part {name!r} by itself, as it has {', '.join(map(str, reasons))}.",
            hint="If it could be the same for all readers, docs/how-to/cheap-refreshes.md says how; if not, say "
            "share_parts = False in its view.",
            id="djust_presence.I001",
        )
        for name, reasons in found.items()
    ]


def _routed(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[type]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _routed(pattern.url_patterns)
        elif isinstance(view := getattr(pattern.callback, "view_class", None), type):
            yield view


def _check_application() -> Iterator[CheckMessage]:
    name = getattr(settings, "ASGI_APPLICATION", None)
    if not name:
        yield Warning(
            "There are live pages, but ASGI_APPLICATION is not set: daphne's runserver needs it, and whether their sockets are routed cannot be checked.",
            hint='Set it to the application in asgi.py, such as "mysite.asgi.application".',
            id="djust_presence.W005",
        )
        return
    try:
        application: object = get_default_application()
    except (Exception, SystemExit) as error:  # it is the project's code
        yield Warning(
            f"ASGI_APPLICATION, {name!r}, cannot be loaded: {type(error).__name__}: {error}",
            hint="Let it name the application in asgi.py, which an ASGI server must be able to import.",
            id="djust_presence.W006",
        )
        return
    while isinstance(application, ASGIStaticFilesHandler):
        application = application.application
    routes = application.application_mapping if isinstance(application, ProtocolTypeRouter) else None
    if isinstance(application, ASGIHandler) or (routes is not None and "websocket" not in routes):
        yield Warning(
            f"There are live pages, but ASGI_APPLICATION, {name!r}, has no route for their WebSockets.",
            hint=f"In asgi.py: application = {ROUTES}; docs/how-to/add-to-a-project.md has the whole file.",
            id="djust_presence.W007",
        )
