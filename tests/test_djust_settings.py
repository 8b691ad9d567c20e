"""The presence settings of a djust project count where it has set none of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from djust_presence import presence
from djust_presence.backends.registry import get_backend
from djust_presence.conf import Settings as Presence
from djust_presence.conf import get_settings
from tests.checked import presence_checks

HERE, THERE = "redis://127.0.0.1:1/3", "redis://127.0.0.1:1/4"
LAYER = {"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [HERE]}}}


@pytest.fixture(autouse=True)
def nothing_of_ours(settings: Settings, tmp_path: Path) -> None:
    del settings.DJUST_PRESENCE
    settings.CHANNEL_LAYERS = LAYER
    # As a project has it that runs several processes.
    cache = "django.core.cache.backends.filebased.FileBasedCache"
    settings.CACHES = {"default": {"BACKEND": cache, "LOCATION": str(tmp_path)}}


@pytest.mark.parametrize(
    ("configured", "read"),
    [
        ({}, Presence()),
        ({"PRESENCE_BACKEND": "memory"}, Presence()),
        ({"PRESENCE_BACKEND": "tenant_memory"}, Presence()),
        ({"PRESENCE_REDIS_URL": HERE, "PRESENCE_REDIS_PREFIX": "a", "REDIS_URL": 5}, Presence()),
        ({"PRESENCE_BACKEND": "redis"}, Presence("redis")),
        ({"PRESENCE_BACKEND": "redis", "PRESENCE_REDIS_URL": HERE, "other": 1}, Presence("redis", HERE)),
        ({"PRESENCE_BACKEND": "redis", "REDIS_URL": THERE}, Presence("redis", THERE)),
        (
            {"PRESENCE_BACKEND": "redis", "REDIS_URL": THERE, "PRESENCE_REDIS_URL": HERE},
            Presence("redis", HERE),
        ),
        ({"PRESENCE_BACKEND": "tenant_redis", "PRESENCE_REDIS_URL": HERE}, Presence("redis", HERE)),
        (
            {"PRESENCE_BACKEND": "redis", "PRESENCE_REDIS_PREFIX": "shop:presence"},
            Presence("redis", options={"prefix": "shop:presence"}),
        ),
    ],
)
def test_the_same_settings_are_read_as_by_djust(configured: Any, read: Presence, settings: Settings) -> None:
    settings.DJUST_CONFIG = configured
    assert get_settings() == read
    assert type(get_backend()).__name__ == f"{read.backend.capitalize()}Backend"
    assert presence_checks() == []


def test_a_setting_of_ours_counts_alone(settings: Settings) -> None:
    settings.DJUST_CONFIG = {"PRESENCE_BACKEND": "redis", "REDIS_URL": THERE}
    settings.DJUST_PRESENCE = {}
    assert get_settings() == Presence()


@pytest.mark.parametrize(
    ("configured", "message"),
    [
        ({"PRESENCE_BACKEND": "tenant_file"}, r"DJUST_CONFIG\['PRESENCE_BACKEND'\] is 'tenant_file'"),
        ({"PRESENCE_BACKEND": ["redis"]}, r"DJUST_CONFIG\['PRESENCE_BACKEND'\] must be a string"),
        (
            {"PRESENCE_BACKEND": "redis", "PRESENCE_REDIS_URL": None},
            r"DJUST_CONFIG\['PRESENCE_REDIS_URL'\] must be a string",
        ),
        (
            {"PRESENCE_BACKEND": "redis", "REDIS_URL": "127.0.0.1:6379"},
            r"DJUST_CONFIG\['REDIS_URL'\] is not a Redis URL",
        ),
        (
            {"PRESENCE_BACKEND": "redis", "PRESENCE_REDIS_PREFIX": "{a}"},
            r"DJUST_CONFIG\['PRESENCE_REDIS_PREFIX'\] of the backend 'redis' does not fit",
        ),
    ],
)
def test_a_mistake_is_said_by_the_name_that_the_project_knows(
    configured: Any, message: str, settings: Settings
) -> None:
    settings.DJUST_CONFIG = configured
    with pytest.raises(ImproperlyConfigured, match=message) as raised:
        presence.count("jobs")
    assert "DJUST_PRESENCE" not in str(raised.value)
    (found,) = [one for one in presence_checks() if one.id and one.id.startswith("djust_presence.E")]
    assert str(found.msg) in str(raised.value)


def test_advice_for_several_processes_uses_that_name_too(settings: Settings) -> None:
    settings.DJUST_CONFIG = {"PRESENCE_BACKEND": "memory"}
    messages = presence_checks(deploy=True)
    (found,) = [one for one in messages if one.id == "djust_presence.W001"]
    assert "DJUST_CONFIG['PRESENCE_BACKEND']" in str(found.hint)
