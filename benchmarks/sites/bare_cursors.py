"""The least that cursors cost: see the application."""

from __future__ import annotations

from tests.cluster.bare_cursors import application

__all__ = ["application"]
