"""The backend in use: one instance for the whole process, made on first use and again when settings change."""

from __future__ import annotations

import logging
import threading

from django.utils.module_loading import import_string

from ..conf import get_settings, name_of, on_change
from ..errors import Misconfigured
from ..forks import after_fork
from ..greenlets import NOT_SUPPORTED, is_patched
from .base import Backend

logger = logging.getLogger("djust_presence")

BACKEND_HINT = (
    "Set BACKEND to 'memory', 'redis', a registered name, or the dotted path of a Backend subclass."
)

__all__ = ["get_backend", "load_backend_class", "register_backend", "reset"]

_classes: dict[str, str | type[Backend]] = {
    "memory": "djust_presence.backends.memory.MemoryBackend",
    "redis": "djust_presence.backends.redis.RedisBackend",
}
_lock = threading.Lock()
_instance: Backend | None = None


def register_backend(name: str, backend: str | type[Backend]) -> None:
    """Make *backend*, a class or the dotted path of one, available as ``DJUST_PRESENCE["BACKEND"] = name``."""
    _classes[name] = backend
    reset()


def load_backend_class(name: str) -> type[Backend]:
    """Return the class that a BACKEND setting names: a registered name or a dotted path.

    Raises ``ImproperlyConfigured`` when there is none, or when it cannot be imported.
    """
    found = _classes.get(name, name)
    if isinstance(found, str):
        if "://" in found:  # not shown, as it may hold a password
            raise Misconfigured(
                "E002",
                f"{name_of('BACKEND')} is a URL.",
                f"Set it to 'redis', and {name_of('LOCATION')} to the URL.",
            )
        if "." not in found:
            raise Misconfigured(
                "E002",
                f"{name_of('BACKEND')} is {name!r}, which is neither a dotted path nor one of: {', '.join(sorted(_classes))}.",
                BACKEND_HINT,
            )
        try:
            found = import_string(found)
        except ImportError as error:
            raise Misconfigured(
                "E002",
                f"The presence backend {name!r} cannot be imported: {error}",
                "Correct DJUST_PRESENCE['BACKEND'], or install what the import asks for.",
            ) from error
    if not (isinstance(found, type) and issubclass(found, Backend)):
        raise Misconfigured(
            "E002",
            f"The presence backend {name!r} is not a subclass of {Backend.__module__}.{Backend.__qualname__}.",
            BACKEND_HINT,
        )
    return found


def get_backend() -> Backend:
    """Return the backend of this process."""
    global _instance
    if _instance is None:
        with _lock:
            if _instance is None:
                settings = get_settings()
                if is_patched():
                    logger.warning("gevent has monkey-patched this process. %s", NOT_SUPPORTED)
                try:
                    _instance = load_backend_class(settings.backend)(settings.location, settings.options)
                except TypeError as error:
                    raise Misconfigured(
                        "E002",
                        f"{name_of('OPTIONS')} of the backend {settings.backend!r} does not fit: {error}.",
                        "Correct or remove the option that it names. If it names none, the constructor of the backend has failed.",
                    ) from error
    return _instance


@on_change
def reset() -> None:
    """Forget the instance; the next use makes another."""
    global _instance
    with _lock:
        old, _instance = _instance, None
    if old is not None:
        old.close()


def _forget() -> None:
    global _instance, _lock
    _instance, _lock = None, threading.Lock()


after_fork(_forget)
