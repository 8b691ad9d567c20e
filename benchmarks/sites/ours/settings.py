"""The settings of the site; PRESENCE in the environment is a JSON object of options."""

from __future__ import annotations

import json
import os
from typing import Any

from ..settings import *  # noqa: F403
from ..settings import INSTALLED_APPS, REDIS_URL

INSTALLED_APPS = [*INSTALLED_APPS, "djust_presence"]
ROOT_URLCONF = "benchmarks.sites.ours.urls"
ASGI_APPLICATION = "benchmarks.sites.ours.asgi.application"
DJUST_PRESENCE: dict[str, Any] = {"AUTHORIZE": "benchmarks.sites.ours.pages.anybody"}
if REDIS_URL:
    DJUST_PRESENCE |= {"BACKEND": "redis", "LOCATION": REDIS_URL}
DJUST_PRESENCE |= json.loads(os.environ.get("PRESENCE", "{}"))
