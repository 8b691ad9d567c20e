"""The settings of the site; what differs from one server to the next comes from the environment."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.settings import *  # noqa: F403
from tests.settings import DJUST_PRESENCE as MEMORY
from tests.settings import MIDDLEWARE as USUAL
from tests.settings import TEMPLATES as PLAIN

DEBUG = True
ROOT_URLCONF = "tests.browser.any_page.urls"
ASGI_APPLICATION = "tests.browser.any_page.asgi.application"
MIDDLEWARE = ["tests.browser.any_page.urls.strict_policy", *USUAL]
TEMPLATES = [PLAIN[0] | {"DIRS": [Path(__file__).resolve().parent / "templates"]}]
STATICFILES_DIRS = [os.environ["STATIC"]] if "STATIC" in os.environ else []
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DB"]}}
REDIS_URL = os.environ.get("REDIS_URL", "")

DJUST_PRESENCE = MEMORY | {
    "AUTHORIZE": "tests.browser.any_page.urls.may_join",
    **json.loads(os.environ["PRESENCE"]),
}
if REDIS_URL:
    DJUST_PRESENCE |= {"BACKEND": "redis", "LOCATION": REDIS_URL}
    # channels_redis logs how its receive tasks ended.
    LOGGING = {
        "version": 1,
        "disable_existing_loggers": False,
        "loggers": {"channels_redis": {"level": "CRITICAL"}},
    }
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        },
    }
