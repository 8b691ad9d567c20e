"""System checks: a wrong setting is said at start, with what to do about it. None of them does any I/O."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands
from django.urls import get_resolver

from .backends.registry import get_backend
from .conf import Settings, get_settings, name_of

MIN_LEASE_TTL = 3
WSGI_RUNSERVERS = {"django.core", "django.contrib.staticfiles"}
IN_MEMORY = "channels.layers.InMemoryChannelLayer"


@register("djust_presence")
def check_settings(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Whether the settings can be used at all, and fit each other."""
    try:
        settings = get_settings()
    except ImproperlyConfigured as error:
        return [
            Error(
                str(error),
                hint="Correct it; all options of DJUST_PRESENCE may be left out.",
                id="djust_presence.E001",
            )
        ]
    return [*_check_times(settings), *_check_caches(settings), *_check_backend(settings)]


def _check_times(settings: Settings) -> Iterator[CheckMessage]:
    if settings.timeout <= settings.heartbeat_interval:
        yield Error(
            "DJUST_PRESENCE['TIMEOUT'] is not above HEARTBEAT_INTERVAL: connections would end before they are pinged.",
            hint=f"Set TIMEOUT to more than {settings.heartbeat_interval:g} seconds; twice that is usual.",
            id="djust_presence.E003",
        )
    if settings.lease_ttl < MIN_LEASE_TTL:
        yield Error(
            f"DJUST_PRESENCE['LEASE_TTL'] is below {MIN_LEASE_TTL} seconds: a short pause of a process would end it for the others.",
            hint="Use 30, the default, or at least 3.",
            id="djust_presence.E004",
        )


def _check_caches(settings: Settings) -> Iterator[CheckMessage]:
    if settings.cursor_cache not in django_settings.CACHES:
        yield Error(
            f"DJUST_PRESENCE['CURSOR_CACHE'] is {settings.cursor_cache!r}, which is not in CACHES.",
            hint=f"Use one of: {', '.join(django_settings.CACHES)}.",
            id="djust_presence.E008",
        )


def _check_backend(settings: Settings) -> Iterable[CheckMessage]:
    try:
        backend = get_backend()
    except ImproperlyConfigured as error:
        hint = (
            f"{name_of('BACKEND')} is 'memory', 'redis', a registered name, or the dotted path of a Backend subclass; "
            "OPTIONS are its keyword arguments."
        )
        return [Error(str(error), hint=hint, id="djust_presence.E002")]
    return [*backend.check(), *(_check_layer(settings) if backend.shared else ())]


def _check_layer(settings: Settings) -> Iterator[CheckMessage]:
    layers = getattr(django_settings, "CHANNEL_LAYERS", {})
    hint = "Set CHANNEL_LAYERS['default'] to channels_redis.pubsub.RedisPubSubChannelLayer."
    if "default" not in layers:
        yield Error(
            f"The presence backend {settings.backend!r} is shared by processes, but there is no channel layer by which they tell each other of changes.",
            hint=hint,
            id="djust_presence.E005",
        )
    elif layers["default"].get("BACKEND") == IN_MEMORY:
        yield Error(
            f"The presence backend {settings.backend!r} is shared by processes, but the channel layer is in the memory of each.",
            hint=hint,
            id="djust_presence.E006",
        )


@register("djust_presence", deploy=True)
def check_deployment(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Whether presence is right with more than one process."""
    try:
        shared = get_backend().shared
    except ImproperlyConfigured:
        return []  # said by check_settings
    if shared:
        return []
    return [
        Warning(
            "Presence is kept in the memory of one process: with several, each shows only its own visitors.",
            hint=f"Set {name_of('BACKEND')} to 'redis', or silence this if there is only ever one process.",
            id="djust_presence.W001",
        )
    ]


@register(Tags.urls)
def check_live_views(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Whether what live pages need is installed, if there are any."""
    if not getattr(django_settings, "ROOT_URLCONF", None):
        return []
    get_resolver().url_patterns  # noqa: B018 - imports the project's views
    live = sys.modules.get("djust_presence.live.view")
    if live is None or not live.LiveView.__subclasses__():
        return []
    messages: list[CheckMessage] = []
    if not apps.is_installed("django_htmx"):
        messages.append(
            Error(
                "Live pages are patched by a script that the app django_htmx ships, which is not installed.",
                hint="Add 'django_htmx' to INSTALLED_APPS; the package comes with this one.",
                id="djust_presence.E007",
            )
        )
    if django_settings.DEBUG and get_commands()["runserver"] in WSGI_RUNSERVERS:
        messages.append(
            Warning(
                "Live pages need WebSockets, which Django's own runserver does not serve.",
                hint="Install daphne, put 'daphne' first in INSTALLED_APPS, and set ASGI_APPLICATION.",
                id="djust_presence.W002",
            )
        )
    return messages
