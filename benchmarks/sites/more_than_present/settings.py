"""The settings that its guide asks for."""

from __future__ import annotations

from ..settings import *  # noqa: F403
from ..settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "channels_presence"]
ROOT_URLCONF = "benchmarks.sites.more_than_present.urls"
ASGI_APPLICATION = "benchmarks.sites.more_than_present.asgi.application"
