"""A site with this package: live views, tags on ordinary pages, a consumer."""

from __future__ import annotations
