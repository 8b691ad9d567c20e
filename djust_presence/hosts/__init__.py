"""The mixins, ready for the live views of every other framework that is installed."""

from __future__ import annotations

from importlib.util import find_spec

from ..cursor_mixin import LiveCursorMixin
from ..mixins import PresenceMixin

__all__ = ["LiveCursorMixin", "PresenceMixin"]

if find_spec("djust"):
    from . import djust  # noqa: F401
