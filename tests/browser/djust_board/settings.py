"""The settings of the whiteboard."""

from __future__ import annotations

from pathlib import Path

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as USUAL
from tests.settings import TEMPLATES as PLAIN

ROOT_URLCONF = "tests.browser.djust_board.urls"
INSTALLED_APPS = [*USUAL, "djust"]
TEMPLATES = [PLAIN[0] | {"DIRS": [Path(__file__).resolve().parent / "templates"]}]
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
LIVEVIEW_ALLOWED_MODULES = ["tests"]
DJUST_PRESENCE = {"BACKEND": "memory", "GRACE": 0.2}
