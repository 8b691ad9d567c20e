"""The settings of the desk."""

from __future__ import annotations

from pathlib import Path

from tests.browser.harness.libraries import NPM
from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as APPS
from tests.settings import MIDDLEWARE as USUAL
from tests.settings import TEMPLATES as PLAIN

HERE = Path(__file__).resolve().parent
INSTALLED_APPS = APPS
ROOT_URLCONF = "tests.browser.desk.urls"
ASGI_APPLICATION = "tests.browser.desk.asgi.application"
MIDDLEWARE = ["tests.browser.desk.urls.strict_policy", *USUAL]
TEMPLATES = [PLAIN[0] | {"DIRS": [HERE / "templates"]}]
STATICFILES_DIRS = [
    HERE / "static",
    *((name, NPM / "node_modules" / name / "dist") for name in ("htmx-2", "htmx-4")),
]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
DJUST_PRESENCE = {"BACKEND": "memory", "GRACE": 0.2}
