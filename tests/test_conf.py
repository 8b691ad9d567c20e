from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from pytest_django import Settings

from djust_presence import presence
from djust_presence.backends.base import Backend
from djust_presence.backends.memory import MemoryBackend
from djust_presence.backends.registry import get_backend, register_backend
from djust_presence.conf import get_settings

DEFAULTS = {
    "BACKEND": "memory",
    "LOCATION": "redis://127.0.0.1:6379/0",
    "HEARTBEAT_INTERVAL": 30,
    "TIMEOUT": 60,
    "LEASE_TTL": 30,
    "GRACE": 2,
    "LOST_GRACE": 10,
    "DRAIN_GRACE": 15,
    "REFRESH_INTERVAL": 0.05,
    "REAUTH_INTERVAL": 60,
    "CURSOR_TIMEOUT": 10,
    "CURSOR_CACHE": "default",
    "SOCKET_PREFIX": "",
    "AUTHORIZE": None,
    "PAGE_CONTEXT": None,
    "GUEST_NAMES": False,
    "PUBLIC_META": ("name", "color", "avatar", "status", "typing"),
    "SHARED_TAGS": (),
    "ANONYMOUS": "browser",
    "OPTIONS": {},
}


@pytest.mark.parametrize("configured", [{}, DEFAULTS])
def test_the_defaults(configured: dict[str, Any]) -> None:
    with override_settings(DJUST_PRESENCE=configured):
        values = dataclasses.asdict(get_settings())
    assert {name.upper(): value for name, value in values.items()} == DEFAULTS


def test_no_setting_at_all_is_the_defaults(settings: Settings) -> None:
    del settings.DJUST_PRESENCE
    assert get_settings().backend == "memory"


def test_settings_are_read_again_when_they_change() -> None:
    with override_settings(DJUST_PRESENCE={"TIMEOUT": 90}):
        assert get_settings().timeout == 90
        with override_settings(DJUST_PRESENCE={"LEASE_TTL": 60}):
            assert get_settings().timeout == 60
            assert get_settings().renew_interval == 10
        assert get_settings().timeout == 90
    assert get_settings().timeout == 60


@pytest.mark.parametrize(
    ("configured", "message"),
    [
        ({"BACKEN": "redis"}, "no option 'BACKEN'.*BACKEND, LOCATION"),
        ({"timeout": 5}, "no option 'timeout'"),
        ({"TIMEOUT": "60"}, r"\['TIMEOUT'\] must be a number of seconds.*'60'"),
        ({"TIMEOUT": True}, r"\['TIMEOUT'\].*True"),
        ({"GRACE": -1}, r"\['GRACE'\].*-1"),
        ({"GRACE": float("nan")}, r"\['GRACE'\].*nan"),
        ({"GRACE": float("inf")}, r"\['GRACE'\].*inf"),
        ({"GRACE": None}, r"\['GRACE'\].*None"),
        ({"HEARTBEAT_INTERVAL": 0}, r"\['HEARTBEAT_INTERVAL'\] must be .*above 0.*not 0"),
        ({"TIMEOUT": 0}, r"\['TIMEOUT'\] must be .*above 0"),
        ({"LEASE_TTL": 0}, r"\['LEASE_TTL'\] must be .*above 0"),
        ({"BACKEND": MemoryBackend}, r"\['BACKEND'\] must be a string"),
        ({"LOCATION": None}, r"\['LOCATION'\] must be a string"),
        ({"SOCKET_PREFIX": "ws"}, r"\['SOCKET_PREFIX'\].*begin with '/'.*'ws'"),
        ({"GUEST_NAMES": 1}, r"\['GUEST_NAMES'\] must be True or False, not 1"),
        ({"AUTHORIZE": 1}, r"\['AUTHORIZE'\] must be None, a function, or the dotted path of one, not 1"),
        (
            {"PAGE_CONTEXT": 1},
            r"\['PAGE_CONTEXT'\] must be None, a function, or the dotted path of one, not 1",
        ),
        ({"PUBLIC_META": "name"}, r"\['PUBLIC_META'\] must be a list of keys of a meta, not 'name'"),
        (
            {"SHARED_TAGS": "humanize"},
            r"\['SHARED_TAGS'\] must be a list of template libraries, not 'humanize'",
        ),
        ({"PUBLIC_META": [1]}, r"\['PUBLIC_META'\] must be a list of keys of a meta, not \[1\]"),
        ({"ANONYMOUS": "session"}, r"\['ANONYMOUS'\] must be 'browser', 'tab' or 'none', not 'session'"),
        ({"GUEST_NAMES": "False"}, r"\['GUEST_NAMES'\] must be True or False, not 'False'"),
        ({"OPTIONS": ["prefix"]}, r"\['OPTIONS'\] must be a dictionary"),
        (["redis"], "DJUST_PRESENCE must be a dictionary"),
        ("redis", "DJUST_PRESENCE must be a dictionary"),
    ],
)
def test_a_wrong_setting_says_what_is_wrong(configured: Any, message: str) -> None:
    with (
        override_settings(DJUST_PRESENCE=configured),
        pytest.raises(ImproperlyConfigured, match=message),
    ):
        get_settings()


@pytest.mark.parametrize("name", ["GRACE", "DRAIN_GRACE", "REFRESH_INTERVAL"])
def test_these_times_may_be_0(name: str) -> None:
    with override_settings(DJUST_PRESENCE={name: 0}):
        assert getattr(get_settings(), name.lower()) == 0


# Which backend


class Counted(MemoryBackend):
    """A project's own backend."""


class Strict(Backend):
    def __init__(self, location: str, options: Any) -> None:
        super().__init__(location, options)
        dict(**options)


class Unrelated:
    pass


def test_the_backend_is_one_for_the_process_until_settings_change() -> None:
    with override_settings(DJUST_PRESENCE={}):
        first = get_backend()
        assert isinstance(first, MemoryBackend)
        assert get_backend() is first
    with override_settings(DJUST_PRESENCE={}):
        assert get_backend() is not first


def test_a_backend_may_be_named_by_its_dotted_path() -> None:
    with override_settings(DJUST_PRESENCE={"BACKEND": f"{__name__}.Counted"}):
        assert type(get_backend()) is Counted
        presence.join("jobs", "w")
        assert presence.count("jobs") == 1


@pytest.mark.parametrize("backend", [Counted, f"{__name__}.Counted"])
def test_a_backend_may_be_registered_under_a_name(backend: Any) -> None:
    register_backend("counted", backend)
    with override_settings(DJUST_PRESENCE={"BACKEND": "counted"}):
        assert type(get_backend()) is Counted


@pytest.mark.parametrize(
    ("configured", "message"),
    [
        ({"BACKEND": "rediss"}, "'rediss', which is neither a dotted path nor one of: .*memory, redis"),
        ({"BACKEND": "nowhere.Backend"}, "'nowhere.Backend' cannot be imported"),
        ({"BACKEND": f"{__name__}.Missing"}, "Missing' cannot be imported"),
        ({"BACKEND": f"{__name__}.Unrelated"}, "not a subclass of djust_presence.backends.base.Backend"),
        ({"BACKEND": f"{__name__}.DEFAULTS"}, "not a subclass of djust_presence.backends.base.Backend"),
        ({"OPTIONS": {"prefix": "x"}}, r"\['OPTIONS'\].*memory backend takes no options.*'prefix'"),
        ({"BACKEND": "redis", "OPTIONS": {"prefx": "x"}}, r"\['OPTIONS'\].*no option 'prefx'.*prefix"),
    ],
)
def test_a_wrong_backend_says_what_is_wrong_and_falls_back_to_nothing(configured: Any, message: str) -> None:
    with override_settings(DJUST_PRESENCE=configured):
        for _ in range(2):
            with pytest.raises(ImproperlyConfigured, match=message):
                presence.count("jobs")
