"""System checks of the settings: faults are reported at start, each with its cure. None of them does any I/O."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands
from django.urls import get_resolver

from ..backends.registry import get_backend
from ..conf import FUNCTIONS, Settings, get_settings, imported, name_of
from ..errors import Misconfigured

MIN_LEASE_TTL = 3
WSGI_RUNSERVERS = {"django.core", "django.contrib.staticfiles"}
IN_MEMORY = "channels.layers.InMemoryChannelLayer"
CORE_LAYER = "channels_redis.core.RedisChannelLayer"
# Seconds that an idle receive of channels_redis.core waits for the server: its brpop_timeout.
CORE_LAYER_WAIT = 5
UNSHARED_CACHES = {
    "django.core.cache.backends.dummy.DummyCache",
    "django.core.cache.backends.locmem.LocMemCache",
}


@register("djust_presence")
def check_settings(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the settings are valid and fit each other."""
    try:
        settings = get_settings()
    except ImproperlyConfigured as error:
        return [
            Error(
                str(error),
                hint="Correct or remove the option that it names: every option of DJUST_PRESENCE has a default, and docs/reference/settings.md lists them all.",
                id="djust_presence.E001",
            )
        ]
    return [
        *_check_times(settings),
        *_check_caches(settings),
        *_check_backend(settings),
        *_check_functions(settings),
    ]


def _check_times(settings: Settings) -> Iterator[CheckMessage]:
    if settings.timeout <= settings.heartbeat_interval:
        yield Error(
            "DJUST_PRESENCE['TIMEOUT'] is not above HEARTBEAT_INTERVAL: connections would end before they are pinged.",
            hint=f"Set TIMEOUT to more than {settings.heartbeat_interval:g} seconds; twice that is usual.",
            id="djust_presence.E003",
        )
    if settings.lost_grace > settings.heartbeat_interval:
        yield Error(
            "DJUST_PRESENCE['LOST_GRACE'] is above HEARTBEAT_INTERVAL: users who have lost their connection would be shown for too long.",
            hint=f"Set LOST_GRACE to {settings.heartbeat_interval:g} seconds at most; 10 is the default, which is longer than pages take to come back.",
            id="djust_presence.E015",
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


def _check_functions(settings: Settings) -> Iterator[CheckMessage]:
    for option, arguments in FUNCTIONS.items():
        function = getattr(settings, option.lower())
        try:
            fault = "" if function is None or callable(imported(function)) else "is no function"
        except Exception as error:  # it is the project's code
            fault = f"cannot be imported: {type(error).__name__}: {error}"
        if fault:
            yield Error(
                f"DJUST_PRESENCE[{option!r}], {function!r}, {fault}.",
                hint=f"Let it name a function {arguments} by its dotted path, or set it to None.",
                id="djust_presence.E017",
            )


def _check_backend(settings: Settings) -> Iterable[CheckMessage]:
    try:
        backend = get_backend()
    except Misconfigured as error:
        return [error.check]
    except ImproperlyConfigured as error:  # raised by a third party's backend
        hint = f"The backend {settings.backend!r} says so: correct LOCATION and OPTIONS of DJUST_PRESENCE."
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
    elif layers["default"].get("BACKEND") == CORE_LAYER:
        yield from _check_core_layer(layers["default"].get("CONFIG") or {})


def _check_core_layer(config: Mapping[str, Any]) -> Iterator[CheckMessage]:
    """Compare the layer's wait for a message with redis-py's socket timeout."""
    timeout = min(_socket_timeouts(config), default=inf)
    if timeout <= CORE_LAYER_WAIT:
        yield Warning(
            f"{CORE_LAYER} waits {CORE_LAYER_WAIT} seconds for a message, but redis-py gives up after {timeout:g}: "
            "idle consumers of this project die of a TimeoutError.",
            hint="Set CHANNEL_LAYERS['default'] to channels_redis.pubsub.RedisPubSubChannelLayer, or each of its hosts to "
            "{'address': 'redis://…', 'socket_timeout': None}.",
            id="djust_presence.W004",
        )


def _socket_timeouts(config: Mapping[str, Any]) -> list[float]:
    """Return the socket timeouts of the layer's connections, as it makes them; nothing for a host without one.

    Without a setting that is redis-py's own: 5 seconds since redis-py 8, and none before.
    """
    try:
        from channels_redis.utils import create_pool, decode_hosts

        connections = [create_pool(host).make_connection() for host in decode_hosts(config.get("hosts"))]
    except (ImportError, TypeError, ValueError):
        return []  # the layer itself reports it
    return [one.socket_timeout for one in connections if one.socket_timeout is not None]


@register("djust_presence", deploy=True)
def check_deployment(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that presence is right with more than one process."""
    try:
        shared = get_backend().shared
    except ImproperlyConfigured:
        return []  # said by check_settings
    if shared:
        return []
    return [
        Warning(
            "Presence is kept in the memory of one process: with several, each shows only its own visitors.",
            hint=f"Set {name_of('BACKEND')} to 'redis'; if there is only ever one process, add 'djust_presence.W001' to SILENCED_SYSTEM_CHECKS.",
            id="djust_presence.W001",
        )
    ]


@register(Tags.urls)
def check_live_views(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that live pages, if there are any, have a server that serves them."""
    if not _has_views("djust_presence.live.view", "LiveView"):
        return []
    messages: list[CheckMessage] = []
    if django_settings.DEBUG and get_commands()["runserver"] in WSGI_RUNSERVERS:
        messages.append(
            Warning(
                "Live pages need WebSockets, which Django's own runserver does not serve.",
                hint="Install daphne, put 'daphne' first in INSTALLED_APPS, and set ASGI_APPLICATION.",
                id="djust_presence.W002",
            )
        )
    return messages


@register(Tags.urls)
def check_cursors(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that all processes can read positions of cursors, if there are any cursors."""
    if not _has_views("djust_presence.cursor_mixin", "LiveCursorMixin"):
        return []
    try:
        alias, shared = get_settings().cursor_cache, get_backend().shared
    except ImproperlyConfigured:
        return []  # said by check_settings
    if not shared or django_settings.CACHES.get(alias, {}).get("BACKEND") not in UNSHARED_CACHES:
        return []
    return [
        Warning(
            f"Positions of cursors are kept in the cache {alias!r}, which no other process reads: CursorTracker finds only those of its own.",
            hint="Set DJUST_PRESENCE['CURSOR_CACHE'] to a cache that all processes share. If only live pages show cursors, which needs no cache, add 'djust_presence.W003' to SILENCED_SYSTEM_CHECKS.",
            id="djust_presence.W003",
        )
    ]


def _has_views(module: str, name: str) -> bool:
    """Return whether the project has subclasses of the class *name* of *module*."""
    if not getattr(django_settings, "ROOT_URLCONF", None):
        return False
    get_resolver().url_patterns  # noqa: B018 - imports the project's views
    return module in sys.modules and bool(getattr(sys.modules[module], name).__subclasses__())
