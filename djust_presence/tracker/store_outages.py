"""Log lines about the presence store: one when writes or reads begin to fail, one when they work again."""

from __future__ import annotations

import logging

from ..backends.base import Backend
from ..errors import PresenceUnavailable
from ..outages import OutageOf

__all__ = ["read_failed", "read_worked", "write_failed", "write_worked"]

logger = logging.getLogger("djust_presence")

# Counted apart: a full store, or a read-only replica, goes on answering reads.
_writes = OutageOf[Backend]()
_reads = OutageOf[Backend]()


def write_failed(backend: Backend, error: PresenceUnavailable) -> None:
    if _writes[backend].failed():
        logger.error(
            "Presence store: writes fail (%s). Until they work again, nobody is seen to join or leave.", error
        )


def write_worked(backend: Backend) -> None:
    if _writes[backend].worked():
        logger.warning("Presence store: writes work again.")


def read_failed(backend: Backend, error: PresenceUnavailable) -> None:
    if _reads[backend].failed():
        logger.error(
            "Presence store: reads fail (%s). Until they work again, pages show what is known.", error
        )


def read_worked(backend: Backend) -> None:
    if _reads[backend].worked():
        logger.warning("Presence store: reads work again.")
