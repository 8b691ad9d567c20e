"""The settings of wireview's starter template."""

from __future__ import annotations

from ..settings import *  # noqa: F403
from ..settings import INSTALLED_APPS

INSTALLED_APPS = ["wireview", *INSTALLED_APPS, "benchmarks.sites.with_wireview"]
ROOT_URLCONF = "benchmarks.sites.with_wireview.urls"
ASGI_APPLICATION = "benchmarks.sites.with_wireview.asgi.application"
