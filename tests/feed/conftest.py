"""A site with presence on any page, on each backend."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from djust_presence.backends.registry import get_backend
from djust_presence.feed import polling
from djust_presence.feed.newcomers import Newcomers
from djust_presence.presence.store import Throttle
from tests.pages import site

TEMPLATES = {
    "room.html": "<p>{{ online_count }} online</p>{% for one in events %}<i>{{ one }}</i>{% endfor %}"
}


@pytest.fixture
def feed_site(settings: Settings) -> Settings:
    """Its users are those whom a cookie names."""
    for name, value in site(TEMPLATES).items():
        setattr(settings, name, copy.copy(value))
    settings.ROOT_URLCONF = "tests.feed.urls"
    return settings


@pytest.fixture(params=["memory", "redis"])
def any_backend(request: pytest.FixtureRequest, feed_site: Settings) -> Settings:
    if request.param == "redis":
        for name, value in _redis(request.getfixturevalue("valkey_url")).items():
            setattr(feed_site, name, value)
    else:
        feed_site.DJUST_PRESENCE = {"BACKEND": "memory"}  # a new one
    return feed_site


def _redis(url: str) -> dict[str, Any]:
    layer = {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [url], "prefix": f"feed{url.rpartition('/')[2]}"},
    }
    return {"DJUST_PRESENCE": {"BACKEND": "redis", "LOCATION": url}, "CHANNEL_LAYERS": {"default": layer}}


@pytest.fixture
def fresh_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin with a process that knows no polling page and has never reaped."""
    monkeypatch.setattr(polling, "_newcomers", Newcomers())
    monkeypatch.setattr(polling, "_reaping", Throttle())
    yield
    get_backend().close()
