"""A site whose tenants have a schema each: DATABASE is a JSON object, as in DATABASES."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import MIDDLEWARE

SHARED_APPS = [
    "django_tenants",
    "tests.live.tenants",
    "django.contrib.contenttypes",
    "djust_presence",
]
TENANT_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
]
INSTALLED_APPS = [*SHARED_APPS, *(app for app in TENANT_APPS if app not in SHARED_APPS)]
TENANT_MODEL, TENANT_DOMAIN_MODEL = "tenants.Tenant", "tenants.Domain"
MIGRATION_MODULES = {"tenants": None}
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
DATABASES = {"default": {"ENGINE": "django_tenants.postgresql_backend", **json.loads(os.environ["DATABASE"])}}
MIDDLEWARE = [
    "django_tenants.middleware.main.TenantMainMiddleware",
    *MIDDLEWARE,
    "tests.live.tenants.urls.by_token",
]
ROOT_URLCONF = PUBLIC_SCHEMA_URLCONF = "tests.live.tenants.urls"
DJUST_PRESENCE = {
    "REAUTH_INTERVAL": 0.5,
    "AUTHORIZE": "tests.live.tenants.urls.may_join",
    "PAGE_CONTEXT": "tests.live.tenants.urls.tenant_of",
}
PLAIN = '{% presence "site" %}{% presence object %}{% presence_script %}'
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.locmem.Loader",
                    {"watch.html": "{% live %}page{% endlive %}", "plain.html": PLAIN},
                )
            ],
            "context_processors": ["django.template.context_processors.request"],
            "builtins": ["djust_presence.templatetags.djust_presence"],
        },
    },
]
