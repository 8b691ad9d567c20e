"""A small site that shows djust_presence: on the memory backend, or on Redis where ``REDIS_URL`` is set.

Everything that differs between a trial and a server comes from the environment: ``REDIS_URL``, ``DB`` (a file),
``DEBUG`` (``1`` or ``0``), ``DEMO`` (``1`` or ``0``), ``SECRET_KEY``, ``HOST``, ``PORTS`` (of the ASGI and the WSGI server), and ``DJUST`` (``1``: the same pages as
views of real djust, which needs Django below 6).
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import django

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("DEBUG", "1") == "1"
DEMO = os.environ.get("DEMO", "1") == "1"  # log in as anybody with one click
PORTS = [int(port) for port in os.environ.get("PORTS", "").split(",") if port]  # two: by ASGI and by WSGI
DJUST = os.environ.get("DJUST", "0") == "1"
SECRET_KEY = os.environ.get("SECRET_KEY") or "not-secret: this is an example"
REDIS_URL = os.environ.get("REDIS_URL", "")

ROOT_URLCONF = "example_project.urls"
ASGI_APPLICATION = "example_project.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
LOGIN_URL = "demo:index"

# HOST=0.0.0.0 is for looking at the demo from a phone, under whatever name this machine has there.
HOST = os.environ.get("HOST") or "127.0.0.1"
ALLOWED_HOSTS = ["*"] if HOST == "0.0.0.0" else ["localhost", "127.0.0.1", "[::1]", HOST]

INSTALLED_APPS = [
    # First: its runserver replaces the one of staticfiles. Nothing else needs to wait for Twisted.
    *(["daphne"] if "runserver" in sys.argv else []),
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "djust_presence",
    "demo",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "demo.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

# Nothing in these pages needs more than this.
if django.VERSION >= (6, 0):
    from django.utils.csp import CSP

    SECURE_CSP = {
        "default-src": [CSP.SELF],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["djust_presence"],
    }
    MIDDLEWARE[1] = "django.middleware.csp.ContentSecurityPolicyMiddleware"

if not DEBUG:
    MIDDLEWARE.insert(1, "whitenoise.middleware.WhiteNoiseMiddleware")
    WHITENOISE_USE_FINDERS = True
    # WhiteNoise hands its files to ASGI as ordinary iterators, and these are small.
    warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")
    LOGGING = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["console"], "level": "WARNING"},
    }

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DB") or BASE_DIR / "db.sqlite3",
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
    },
}

DJUST_PRESENCE: dict[str, Any] = {"BACKEND": "memory", "GUEST_NAMES": True}

if REDIS_URL:
    DJUST_PRESENCE |= {"BACKEND": "redis", "LOCATION": REDIS_URL}
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        },
    }
    CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": REDIS_URL}}

if DJUST:
    INSTALLED_APPS += ["djust"]
    MIDDLEWARE.remove("demo.middleware.ContentSecurityPolicyMiddleware")  # djust's pages have inline scripts
    # All windows of a demo come from one address.
    LIVEVIEW_CONFIG = {"rate_limit": {"max_connections_per_ip": 100}, "hvr_enabled": False}
    # Its checks read the source and know neither the blocks of base.html nor what these methods return. These
    # pages are for everybody.
    SILENCED_SYSTEM_CHECKS = [f"djust.{check}" for check in ("T002", "T012", "T018", "V008", "S004", "S005")]
    if REDIS_URL:
        DJUST_CONFIG = {"STATE_BACKEND": "redis", "REDIS_URL": REDIS_URL, "COMPRESSION_ENABLED": False}
    else:
        CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
