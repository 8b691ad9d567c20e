"""Settings that all Django sites share: those of a new project, sessions in the cache, a database in the work folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests import settings as plain

REDIS_URL = os.environ.get("REDIS_URL", "")

SECRET_KEY = plain.SECRET_KEY
USE_TZ = plain.USE_TZ
STATIC_URL = plain.STATIC_URL
DEFAULT_AUTO_FIELD = plain.DEFAULT_AUTO_FIELD
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = [app for app in plain.INSTALLED_APPS if app != "djust_presence"]
MIDDLEWARE = [*plain.MIDDLEWARE, "django.middleware.clickjacking.XFrameOptionsMiddleware"]
TEMPLATES = [plain.TEMPLATES[0] | {"DIRS": [Path(__file__).parent / "templates"]}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DB", "db.sqlite3")}}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
CHANNEL_LAYERS: dict[str, Any] = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
if REDIS_URL:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        }
    }
