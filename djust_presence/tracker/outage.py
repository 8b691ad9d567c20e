"""Whether the presence store answers: said in the log when that changes, once for a process, whoever asks."""

from __future__ import annotations

import logging
from weakref import WeakSet

from ..backends.base import Backend
from ..errors import PresenceUnavailable

logger = logging.getLogger("djust_presence")

_away: WeakSet[Backend] = WeakSet()


def unanswered(backend: Backend, error: PresenceUnavailable) -> None:
    if backend not in _away:
        _away.add(backend)
        logger.error(
            "The presence store does not answer (%s). Until it does, pages show what is known, and counts stand still.",
            error,
        )


def answered(backend: Backend) -> None:
    if backend in _away:
        _away.discard(backend)
        logger.warning("The presence store answers again.")
