"""The example project with the rooms of rooms_site.

CLIENT in the environment names every connection to Redis, and puts the channel layer and the cache into database 0,
whatever REDIS_URL says. LAYER is the channel layer's class.
"""

from __future__ import annotations

import os

from tests import site_settings
from tests.site_settings import *  # noqa: F403

ROOT_URLCONF = "tests.cluster.rooms_site"

if "LAYER" in os.environ:
    site_settings.CHANNEL_LAYERS["default"]["BACKEND"] = os.environ["LAYER"]
if client := os.environ.get("CLIENT"):
    shared = f"{os.environ['REDIS_URL'].rpartition('/')[0]}/0?client_name={client}"
    site_settings.CHANNEL_LAYERS["default"]["CONFIG"] = {"hosts": [shared]}
    site_settings.CACHES["default"]["LOCATION"] = shared
    site_settings.DJUST_PRESENCE.setdefault("OPTIONS", {})["client_name"] = client
