"""The example project with presence on any page: see feed_site."""

from __future__ import annotations

from tests.site_settings import *  # noqa: F403

ROOT_URLCONF = "tests.cluster.feed_site"
