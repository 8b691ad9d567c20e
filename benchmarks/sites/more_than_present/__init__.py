"""A site with django-channels-more-than-present."""

from __future__ import annotations
