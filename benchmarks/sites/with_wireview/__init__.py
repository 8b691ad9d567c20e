"""A site with django-wireview's presence."""

from __future__ import annotations
