"""Presence in Redis or Valkey, for sites of several processes."""

from __future__ import annotations

from .backend import RedisBackend

__all__ = ["RedisBackend"]
