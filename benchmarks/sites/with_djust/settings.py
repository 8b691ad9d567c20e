"""djust's settings as its guide has them; its limit of connections from one address is out of the way."""

from __future__ import annotations

import os
from typing import Any

from ..settings import *  # noqa: F403
from ..settings import INSTALLED_APPS, REDIS_URL

IS_OURS = os.environ.get("PRESENCE_OF") == "ours"

INSTALLED_APPS = [*INSTALLED_APPS, "djust", *(["djust_presence"] if IS_OURS else [])]
ROOT_URLCONF = "benchmarks.sites.with_djust.urls"
ASGI_APPLICATION = "benchmarks.sites.with_djust.asgi.application"
LIVEVIEW_ALLOWED_MODULES = ["benchmarks.sites"]
LIVEVIEW_CONFIG = {"rate_limit": {"max_connections_per_ip": 100_000}, "hvr_enabled": False}
DJUST_PRESENCE: dict[str, Any] = {}
DJUST_CONFIG: dict[str, Any] = {"PRESENCE_BACKEND": "memory"}
if REDIS_URL:
    DJUST_PRESENCE = {"BACKEND": "redis", "LOCATION": REDIS_URL}
    DJUST_CONFIG = {
        "STATE_BACKEND": "redis",
        "REDIS_URL": REDIS_URL,
        "PRESENCE_BACKEND": "redis",
        "PRESENCE_REDIS_URL": REDIS_URL,
        "COMPRESSION_ENABLED": False,
    }
