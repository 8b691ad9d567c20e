"""A site for access checks: ACCESS is a JSON object of settings and of additional apps and middleware."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, MIDDLEWARE

_given = json.loads(os.environ["ACCESS"])
INSTALLED_APPS = [*INSTALLED_APPS, "tests.live.accounts", *_given.pop("apps", [])]
MIDDLEWARE = [*MIDDLEWARE, *_given.pop("middleware", [])]
globals().update(_given)

SILENCED_SYSTEM_CHECKS = ["models.W042"]
ROOT_URLCONF = "tests.live.accounts.urls"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/watch/"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DB"]}}
DJUST_PRESENCE = {"REAUTH_INTERVAL": 0.5}
MIGRATION_MODULES = {name.rpartition(".")[2]: None for name in INSTALLED_APPS}
MIGRATION_MODULES["otp_static"] = None
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [
                ("django.template.loaders.locmem.Loader", {"watch.html": "{% live %}page{% endlive %}"}),
                "django.template.loaders.app_directories.Loader",
            ],
            "builtins": ["djust_presence.templatetags.djust_presence"],
        },
    },
]
