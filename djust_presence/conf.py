"""The settings: ``DJUST_PRESENCE``, one flat dictionary, and what a djust project has set of them already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from math import inf
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

__all__ = [
    "FUNCTIONS",
    "TIMEOUTS_PER_TTL",
    "Settings",
    "checked_interval",
    "get_settings",
    "imported",
    "name_of",
    "on_change",
]

RENEWALS_PER_TTL = 6
TIMEOUTS_PER_TTL = 2 * RENEWALS_PER_TTL
LOST_GRACE = 10.0
ABOVE_ZERO = ("HEARTBEAT_INTERVAL", "TIMEOUT", "LEASE_TTL", "CURSOR_TIMEOUT")
SECRET = ("LOCATION", "OPTIONS")
LISTS = {"PUBLIC_META": "keys of a meta", "SHARED_TAGS": "template libraries"}  # and what they list
ANONYMOUS = ("browser", "tab", "none")
FUNCTIONS = {"AUTHORIZE": "(request, key)", "PAGE_CONTEXT": "(request)"}  # and what they take


@dataclass(frozen=True, slots=True)
class Settings:
    """Every option with its default. Times are in seconds."""

    backend: str = "memory"
    location: str = "redis://127.0.0.1:6379/0"
    heartbeat_interval: float = 30.0
    timeout: float = 60.0
    lease_ttl: float = 30.0
    grace: float = 2.0
    lost_grace: float = LOST_GRACE
    drain_grace: float = 15.0
    refresh_interval: float = 0.05
    reauth_interval: float = 60.0
    cursor_timeout: float = 10.0
    cursor_cache: str = "default"
    socket_prefix: str = ""
    authorize: str | Callable[..., Any] | None = None
    page_context: str | Callable[..., Any] | None = None
    guest_names: bool = False
    shared_tags: Sequence[str] = ()
    public_meta: Sequence[str] = ("name", "color", "avatar", "status", "typing")
    anonymous: str = "browser"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def renew_interval(self) -> float:
        """Seconds between two renewals of a process's lease: several attempts fit into one LEASE_TTL."""
        return self.lease_ttl / RENEWALS_PER_TTL

    @property
    def longest_timeout(self) -> float:
        """Seconds that a write may wait for the store: short enough to renew the lease on another connection in time."""
        return self.lease_ttl / TIMEOUTS_PER_TTL


OPTIONS = {one.name.upper(): one for one in fields(Settings)}

# Names in DJUST_CONFIG; of several, the first that is set counts.
OF_DJUST = {
    "BACKEND": ("PRESENCE_BACKEND",),
    "LOCATION": ("PRESENCE_REDIS_URL", "REDIS_URL"),
    "OPTIONS": ("PRESENCE_REDIS_PREFIX",),
}
# To djust these are the same: its keys tell tenants apart.
OF_TENANTS = {"tenant_memory": "memory", "tenant_redis": "redis"}


@cache
def get_settings() -> Settings:
    """Return the settings in force.

    Raises ``ImproperlyConfigured`` for an unknown option or a value of the wrong type.
    """
    configured = getattr(django_settings, "DJUST_PRESENCE", None)
    if configured is None:
        configured = _from_djust()
    if not isinstance(configured, Mapping):
        raise ImproperlyConfigured("DJUST_PRESENCE must be a dictionary.")
    values = {}
    for name, value in configured.items():
        if name not in OPTIONS:
            raise ImproperlyConfigured(
                f"DJUST_PRESENCE has no option {name!r}. Its options are: {', '.join(OPTIONS)}."
            )
        values[OPTIONS[name].name] = _checked(name, value)
    # Pings find pages that are gone, so no page is waited for longer than that.
    if "heartbeat_interval" in values:
        values.setdefault("lost_grace", min(LOST_GRACE, values["heartbeat_interval"]))
    return Settings(**values)


def imported(function: Any) -> Any:
    """Return the function that an option is, or is the dotted path of; None if it is None. Raises ``ImportError``."""
    return import_string(function) if isinstance(function, str) else function


def name_of(option: str) -> str:
    """Return the name of *option* in the project's settings, for messages."""
    if getattr(django_settings, "DJUST_PRESENCE", None) is None and (name := _name_in_djust(option)):
        return f"DJUST_CONFIG[{name!r}]"
    return f"DJUST_PRESENCE[{option!r}]"


def checked_interval(view: type, seconds: Any) -> float:
    """Return the ``presence_refresh_interval`` of a view. Raises ``ImproperlyConfigured`` if it is none."""
    if not _is_seconds(seconds):
        name = f"{view.__qualname__}.presence_refresh_interval"
        raise ImproperlyConfigured(f"{name} must be a number of seconds, 0 or above, not {seconds!r:.300}.")
    return float(seconds)


def _is_seconds(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value < inf


def _checked(name: str, value: Any) -> Any:
    kind = OPTIONS[name].type
    if kind == "float":
        if not _is_seconds(value):
            raise ImproperlyConfigured(f"{name_of(name)} must be a number of seconds, not {value!r}.")
        if value == 0 and name in ABOVE_ZERO:
            raise ImproperlyConfigured(f"{name_of(name)} must be a number of seconds above 0, not 0.")
        return float(value)
    if kind == "str" and not isinstance(value, str):
        raise ImproperlyConfigured(f"{name_of(name)} must be a string, not {_shown(name, value)}.")
    if kind == "bool" and not isinstance(value, bool):
        raise ImproperlyConfigured(f"{name_of(name)} must be True or False, not {value!r}.")
    if name == "SOCKET_PREFIX" and value and not value.startswith("/"):
        raise ImproperlyConfigured(f"{name_of(name)} must begin with '/', but is {value!r}.")
    if name in FUNCTIONS and not (value is None or callable(value) or (isinstance(value, str) and value)):
        raise ImproperlyConfigured(
            f"{name_of(name)} must be None, a function, or the dotted path of one, not {value!r}."
        )
    if name in LISTS:
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise ImproperlyConfigured(f"{name_of(name)} must be a list of {LISTS[name]}, not {value!r}.")
        return tuple(value)
    if name == "ANONYMOUS" and value not in ANONYMOUS:
        raise ImproperlyConfigured(f"{name_of(name)} must be 'browser', 'tab' or 'none', not {value!r}.")
    if name == "OPTIONS" and not isinstance(value, Mapping):
        raise ImproperlyConfigured(f"{name_of(name)} must be a dictionary, not {_shown(name, value)}.")
    return value


def _shown(name: str, value: Any) -> str:
    """Return *value* for a message, or only its type where it may hold a password."""
    return f"{type(value).__name__!r}" if name in SECRET else repr(value)


def _djust_config() -> Mapping[str, Any]:
    return getattr(django_settings, "DJUST_CONFIG", None) or {}


def _name_in_djust(option: str) -> str | None:
    return next((name for name in OF_DJUST.get(option, ()) if name in _djust_config()), None)


def _from_djust() -> dict[str, Any]:
    """Return the settings of djust's own presence that apply here, as djust reads them; its others are Redis's."""
    config = _djust_config()
    found = {option: config[name] for option in OF_DJUST if (name := _name_in_djust(option))}
    backend = found.pop("BACKEND", "memory")
    if isinstance(backend, str):
        backend = OF_TENANTS.get(backend, backend)
    if backend != "redis":
        return {"BACKEND": backend}
    if "OPTIONS" in found:
        found["OPTIONS"] = {"prefix": found["OPTIONS"]}
    return {"BACKEND": backend, **found}


_listeners: list[Callable[[], None]] = []


def on_change(listener: Callable[[], None]) -> Callable[[], None]:
    """Call *listener* after ``DJUST_PRESENCE`` or ``DJUST_CONFIG`` changed (``override_settings``)."""
    _listeners.append(listener)
    return listener


def _reset(*, setting: str, **kwargs: Any) -> None:
    if setting in ("DJUST_PRESENCE", "DJUST_CONFIG"):
        get_settings.cache_clear()
        for listener in _listeners:
            listener()


setting_changed.connect(_reset, dispatch_uid="djust_presence.conf")
