"""System checks: of the settings, and of the routed views. Importing this registers them."""

from __future__ import annotations

from . import settings, views  # noqa: F401
